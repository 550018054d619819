import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { JackinError } from '../shared/errors.ts';
import type { DownloadLimits } from './download-limits.ts';
import { fault, pauseAfter } from './registry-failure.ts';

/** npm's client keeps in memory what is not taken in time: a tarball is asked for in pieces, not as a whole. */
const PIECE_BYTES = 16 * 1024 * 1024;
/** A download that has come this much further has recovered: what broke it before no longer counts. */
const RECOVERED_BYTES = 1024 * 1024;

type Body = AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown };

export interface Answer {
  status: number;
  headers: { get(name: string): string | null };
  body: Body;
}

export interface Download {
  /** Asks for a part, as in the header `range`. */
  get: (range: string) => Promise<Answer>;
  /** SHA-512 of the whole, in base64: any of them will do. */
  digests: string[];
  limits: DownloadLimits;
  signal: AbortSignal | undefined;
  /** Bytes so far, and in all when the registry tells. */
  onBytes: ((done: number, total: number | undefined) => void) | undefined;
  /** Puts what went wrong in words. */
  fail: (error: unknown) => JackinError;
}

/** Which bytes an answer says it brings; `end` is the first that it does not. */
interface Span {
  start: number;
  end: number | undefined;
  total: number | undefined;
}

const spanOf = ({ status, headers }: Answer, from: number, { tarballBytes }: DownloadLimits): Span => {
  const [, first, last, whole] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? [];
  const length = Number(headers.get('content-length') ?? Number.NaN);
  const end = Number.isNaN(length) ? undefined : length;
  const span = status === 206 ? { start: Number(first), end: Number(last) + 1, total: Number(whole) } : { start: 0, end, total: end };
  // Without progress it would be asked for the same part for ever.
  const isAnswer = status !== 206 || (span.start === from && span.end! > from && span.end! <= span.total!);
  if (!isAnswer) throw fault('ENONSENSE', 'sent another part than it was asked for');
  if ((span.total ?? 0) > tarballBytes) throw fault('EHUGE', `wants to send ${span.total} bytes, far more than any agent has`);
  return span;
};

/** The chunks of a body, which breaks when nothing comes for too long. Time that the taker needs does not count. */
async function* inTime(body: Body, silenceMs: number) {
  const silent = (): unknown => body.destroy(fault('ESILENT', 'sent nothing'));
  let timer = setTimeout(silent, silenceMs);
  try {
    for await (const chunk of body) {
      clearTimeout(timer);
      yield chunk;
      timer = setTimeout(silent, silenceMs);
    }
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}

/** What one answer brings of the bytes from here on, with the size of the whole where it is told. */
async function* pieceFrom(from: number, { get, limits }: Download) {
  const answer = await get(`bytes=${from}-${from + PIECE_BYTES - 1}`);
  const { start, end, total } = spanOf(answer, from, limits);
  let at = start;
  for await (const chunk of inTime(answer.body, limits.silenceMs)) {
    // A server that knows no pieces begins anew each time.
    const fresh = chunk.subarray(Math.max(0, from - at));
    at += chunk.length;
    if (end !== undefined && at > end) throw fault('EMORE', 'sent more than it had said');
    if (at > limits.tarballBytes) throw fault('EHUGE', 'sent far more than any agent has');
    if (fresh.length > 0) yield { fresh, total };
  }
  if (end !== undefined && at < end) throw fault('ECUT', 'sent less than it had said');
}

/**
 * Passes the bytes on, and ends well only when all have come and their digest is
 * right. Where the connection breaks or falls silent, it goes on from the byte
 * where it was, a bounded number of times.
 */
export async function* verifiedTarball(download: Download) {
  const { digests, limits, signal, onBytes, fail } = download;
  const hash = createHash('sha512');
  let done = 0;
  let failures = 0;
  let failedAt = 0;
  for (let more = true; more; ) {
    try {
      // npm's client would wait for an answer that nobody wants any more.
      signal?.throwIfAborted();
      let whole: number | undefined;
      for await (const { fresh, total } of pieceFrom(done, download)) {
        hash.update(fresh);
        done += fresh.length;
        whole = total;
        onBytes?.(done, total);
        yield fresh;
      }
      more = done < (whole ?? 0);
    } catch (error) {
      failures = done - failedAt >= RECOVERED_BYTES ? 1 : failures + 1;
      failedAt = done;
      const pause = signal?.aborted ? undefined : pauseAfter(error, failures, limits);
      if (pause === undefined) throw fail(error);
      await delay(pause, undefined, { signal }).catch((aborted: unknown) => {
        throw fail(aborted);
      });
    }
  }
  if (!digests.includes(hash.digest('base64'))) throw fail(fault('EINTEGRITY', 'wrong digest'));
}
