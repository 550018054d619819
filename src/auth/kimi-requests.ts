/** What jackin asks Kimi's servers: requests, and what their answers come down to. */

export interface HttpRequest {
  method: 'GET' | 'POST';
  url: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
  timeoutMs: number;
}

export interface HttpAnswer {
  status: number;
  headers: Readonly<Record<string, string | undefined>>;
  body: string;
}

/**
 * Sends one request and reads its whole answer. Throws a `SendError` when there is
 * none; any status is an answer. Never follows a redirect: a token goes to nobody else.
 */
export type Send = (request: HttpRequest, signal: AbortSignal) => Promise<HttpAnswer>;

/** No answer came. The message says why in a few words, without anything that was sent. */
export class SendError extends Error {
  override readonly name = 'SendError';
  /** Whether the server may have acted on the request: false only when no connection was made. */
  readonly arrived: boolean;

  constructor(message: string, arrived: boolean) {
    super(message);
    this.arrived = arrived;
  }
}

/** What asking for a new token comes down to. */
export type RefreshOutcome =
  | { kind: 'renewed'; token: { accessToken: string; refreshToken: string; expiresIn: number; scope: string; tokenType: string } }
  /** The server does not take this refresh token (any more). `why` is what it says, one line, safe to print. */
  | { kind: 'refused'; why: string }
  /** `arrived`: the server may have renewed the login all the same. `afterMs`: when it asks to be left alone for so long. */
  | { kind: 'no answer'; why: string; arrived: boolean; afterMs?: number };
