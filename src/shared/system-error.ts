import path from 'node:path';
import { type ErrorCode, JackinError, messageOf } from './errors.ts';

/** The one place that turns an error of the operating system into a sentence: which file, why, and what to do next. */

interface Words {
  /** As the system itself says it. */
  why: string;
  /** For the person who ran the command. */
  hint: string;
  /** Code of the error that is shown; `failed` without it. */
  code?: ErrorCode;
}

const AGAIN = 'run the command again';
const FULL = { code: 'disk.full', hint: `free some disk space and ${AGAIN}; what was there before is unchanged` } as const;
const RIGHTS = `look at its owner and mode, and at those of the folders above it, then ${AGAIN}`;
const IN_THE_WAY = `look at what stands there and move it away, then ${AGAIN}`;

const WORDS: Readonly<Record<string, Words>> = {
  ENOSPC: { why: 'no space left on device', ...FULL },
  EDQUOT: { why: 'disk quota exceeded', ...FULL },
  EROFS: { why: 'read-only file system', hint: 'make it writable, or name other folders with JACKIN_HOME_DIR and JACKIN_CONFIG_DIR' },
  EIO: { why: 'input/output error', hint: 'check the disk: the log of the system may tell more' },
  EMFILE: { why: 'too many open files', hint: `raise the limit, as in \`ulimit -n 1024\`, and ${AGAIN}` },
  ENFILE: { why: 'too many open files in system', hint: `end some programs and ${AGAIN}` },
  EACCES: { why: 'permission denied', hint: RIGHTS },
  EPERM: { why: 'operation not permitted', hint: RIGHTS },
  ENOENT: { why: 'no such file or directory', hint: `another program may have removed it meanwhile: ${AGAIN}` },
  ENOTDIR: { why: 'not a directory', hint: IN_THE_WAY },
  EISDIR: { why: 'is a directory', hint: IN_THE_WAY },
  ELOOP: { why: 'too many levels of symbolic links', hint: IN_THE_WAY },
  ENAMETOOLONG: { why: 'file name too long', hint: 'use a shorter name, or a folder with a shorter path' },
  EBUSY: { why: 'device or resource busy', hint: `another program uses it: wait for it to end and ${AGAIN}` },
  ETXTBSY: { why: 'text file busy', hint: `another program runs it: wait for it to end and ${AGAIN}` },
  ENOMEM: { why: 'not enough memory', hint: `end some programs and ${AGAIN}` },
  EEXIST: { why: 'file exists', code: 'conflict', hint: `another program may have made it meanwhile: ${AGAIN}` },
  ENOTEMPTY: { why: 'directory not empty', code: 'conflict', hint: `another program may write there: ${AGAIN}` },
  EXDEV: { why: 'invalid cross-device link', hint: 'a folder in it is a mount of its own: keep all of it on one file system' },
  EAGAIN: { why: 'resource temporarily unavailable', hint: `wait a moment and ${AGAIN}` },
  EPIPE: { why: 'broken pipe', hint: `the program at the other end has gone: ${AGAIN}` },
};

const VERBS: Readonly<Record<string, string>> = {
  scandir: 'list', opendir: 'list', mkdir: 'make', rmdir: 'remove', unlink: 'remove', rm: 'remove', lstat: 'look at', stat: 'look at',
  fstat: 'look at', access: 'look at', readlink: 'read', realpath: 'look up', fsync: 'write', fchmod: 'change the mode of', chmod: 'change the mode of',
  fchown: 'change the owner of', lchown: 'change the owner of', symlink: 'make',
}; // prettier-ignore

/** The error of a system call, as Node.js throws it. */
type SystemError = NodeJS.ErrnoException & { code: string; dest?: string };

const isSystemError = (error: unknown): error is SystemError =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && ('syscall' in error || error.code in WORDS);

/** `EACCES: permission denied, open '/x'` without code and call, for errors that the table does not know. */
const bareMessage = ({ message, code }: SystemError): string => message.replace(new RegExp(`^${code}: `), '').replace(/, \w+( '.*)?$/s, '');

const wordsOf = (error: SystemError): Words => WORDS[error.code] ?? { why: bareMessage(error), hint: `${AGAIN}; JACKIN_DEBUG=1 shows where it happened` };

/** An absolute path tells where it is; a relative one is resolved by the system against the working directory. */
const placeOf = ({ path: file, dest }: SystemError): string => {
  const shown = file === undefined || file === '' ? 'a file' : path.isAbsolute(file) ? file : `"${file}"`;
  return dest === undefined ? shown : `${shown} to ${dest}`;
};

const sentenceOf = (error: SystemError): string => {
  const { syscall = 'use', code } = error;
  const call = syscall.split(' ')[0]!;
  return `cannot ${VERBS[call] ?? call} ${placeOf(error)}: ${wordsOf(error).why} (${code})`;
};

/** A part of jackin that is not where it was installed: an update or a removal goes on, or was cut short. */
const missingPart = (error: unknown): JackinError | undefined => {
  if (!(error instanceof Error && 'code' in error) || error.code !== 'ERR_MODULE_NOT_FOUND') return undefined;
  const file = /'([^']+)'/.exec(error.message)?.[1] ?? 'a file of it';
  return new JackinError('failed', `a part of jackin cannot be loaded: ${file} does not exist`, { hint: 'jackin was changed or removed meanwhile: install it again', cause: error });
};

/** Returns an error of the operating system as a sentence; undefined for everything else, which is a fault of the program. */
const asSystemError = (error: unknown): JackinError | undefined => {
  if (!isSystemError(error)) return missingPart(error);
  const { code = 'failed', hint } = wordsOf(error);
  return new JackinError(code, sentenceOf(error), { hint, cause: error });
};

/** Returns the code and the hint for an error of the operating system; undefined for everything else. */
export const adviceOn = (error: unknown): { code: ErrorCode; hint: string } | undefined => {
  if (!isSystemError(error)) return undefined;
  const { code = 'failed', hint } = wordsOf(error);
  return { code, hint };
};

/** Adds the path to an error of a call on an open file, which the system tells without one. */
export const inFile = (error: unknown, file: string): unknown => (isSystemError(error) && error.path === undefined ? Object.assign(error, { path: file }) : error);

/** A sentence of jackin's own about an error of the system that says nothing of what to do gets the system's advice. */
const withAdvice = (error: JackinError): JackinError => {
  const hint = error.hint ?? adviceOn(error.cause)?.hint;
  return hint === error.hint ? error : new JackinError(error.code, error.message, { hint, cause: error });
};

/** Returns anything that was thrown as an error to be shown: a sentence of jackin's own, one of the system's, or a fault of the program. */
export const asJackinError = (error: unknown): JackinError =>
  error instanceof JackinError ? withAdvice(error) : (asSystemError(error) ?? bug(error));

const bug = (error: unknown): JackinError =>
  new JackinError('failed', `unexpected: ${messageOf(error).slice(0, 500)}`, { hint: 'this is a bug in jackin; JACKIN_DEBUG=1 shows where it happened', cause: error });
