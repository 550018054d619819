/**
 * The closed list of things that can go wrong, and the exit code of each.
 * A code is a stable name that scripts may match; the message is for people.
 */
export const EXIT_CODES = {
  failed: 1,
  usage: 2,
  'config.invalid': 3,
  'auth.missing': 4,
  'auth.dead': 4,
  'auth.account': 4,
  'engine.unreachable': 5,
  'engine.too-old': 5,
  'engine.failed': 1,
  'build.failed': 1,
  'download.failed': 1,
  'disk.full': 1,
  'consent.needed': 6,
  'not-found': 7,
  conflict: 8,
  interrupted: 130,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

interface ErrorDetail {
  /** What the person can do next. May only name commands that exist. */
  hint?: string;
  cause?: unknown;
}

/**
 * An error that a person can act on. Everything else that is thrown is a bug.
 * The message says what failed and where; it never holds a secret.
 */
export class JackinError extends Error {
  override readonly name = 'JackinError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, { cause: detail.cause });
    this.code = code;
    this.hint = detail.hint;
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** True for a Node.js system error with this code, such as `ENOENT`. */
export const isErrno = (error: unknown, ...codes: string[]): error is NodeJS.ErrnoException =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code));

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
