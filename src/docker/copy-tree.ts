import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { pack } from 'tar-stream';
import * as z from 'zod';
import { type Copied, type CopyReport, newTally, SKIP_REASONS, type Skipped } from '../shared/copied.ts';
import { type ErrorCode, JackinError, messageOf } from '../shared/errors.ts';
import { lookAt, packTree, type Source } from '../shared/pack-tree.ts';
import { type Place, unpackTree } from '../shared/unpack-tree.ts';
import { plainLine } from './engine-call.ts';
import type { ExecHandle } from './engine.ts';

/**
 * The host's end of a copy: a tree as a tar over the streams of an exec that runs
 * `copy.mjs` inside. What comes from there is the agent's word: the stream is checked
 * where it is written, the report here.
 */

const MAX_REPORT_BYTES = 1024 * 1024;
/** How long the program inside may take to clean up after an interrupt. */
const GOODBYE_MS = 5000;

const amount = z.int().min(0);
const reportMessage: z.ZodType<CopyReport> = z.object({
  copied: z.object({ files: amount, directories: amount, links: amount, bytes: amount }),
  skipped: z.object({ total: amount, named: z.array(z.object({ path: z.string(), why: z.enum(SKIP_REASONS) })).max(1000) }),
  failed: z.object({ code: z.string(), message: z.string().transform((text) => plainLine(text.slice(0, 2000))) }).optional(),
});

export interface CopyResult {
  copied: Copied;
  skipped: Skipped;
}

export interface CopyCall {
  /** Starts the program inside. */
  start: () => Promise<ExecHandle>;
  /** What messages call the instance. */
  instance: string;
  signal: AbortSignal;
  /** How long nothing may move; a minute unless told. */
  stillMs?: number;
}

/** The end of what the program writes to stderr, read all the time: nothing else bounds it. */
const tailOf = async (stderr: AsyncIterable<unknown>): Promise<string> => {
  let tail = Buffer.alloc(0);
  try {
    for await (const chunk of stderr) {
      tail = Buffer.concat([tail, chunk as Buffer]);
      if (tail.length > 2 * MAX_REPORT_BYTES) tail = tail.subarray(-MAX_REPORT_BYTES);
    }
  } catch {
    // The pipe broke; what had come is all there is.
  }
  return tail.toString();
};

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) ?? '';

/** Returns the report of the program inside; undefined when it says nothing that can be understood. */
export const readReport = (text: string): CopyReport | undefined => {
  try {
    return reportMessage.parse(JSON.parse(lastLine(text)));
  } catch {
    return undefined;
  }
};

/** Codes that the program inside may give its failure; the others are the host's own. */
const TOLD: readonly string[] = ['not-found', 'conflict', 'disk.full'] satisfies ErrorCode[];

const failureOf = ({ code, message }: NonNullable<CopyReport['failed']>, instance: string): JackinError =>
  new JackinError(TOLD.includes(code) ? (code as ErrorCode) : 'failed', `in instance ${instance}: ${message}`, {
    ...(code === 'disk.full' && { hint: "free some space in the instance, or on the disk that holds the engine's data; what was there before is unchanged" }),
  });

const noReport = (text: string, code: number, instance: string): JackinError => {
  const isOld = text.includes('MODULE_NOT_FOUND');
  const said = plainLine(lastLine(text)).slice(0, 300);
  return new JackinError('failed', isOld ? `instance ${instance} was made by a jackin that could not copy` : `the copying program in instance ${instance} was cut off (code ${code})${said === '' ? '' : `: ${said}`}`, {
    hint: isOld ? `\`jackin eject ${instance}\`, then \`jackin hardline ${instance}\`: it is made anew from its state` : `\`jackin status\` says whether the instance still runs`,
  });
};

const interruptedOf = (copied: Copied, instance: string): JackinError =>
  new JackinError('interrupted', `copying was interrupted; ${copied.files} files were whole by then and stay, nothing is left of others (instance ${instance})`);

/** The report, or why there is none; never an error of its own kind. */
const finish = async (handle: ExecHandle, text: Promise<string>, instance: string): Promise<CopyReport> => {
  // What is still on its way goes nowhere, but the end of the stream must be seen.
  handle.stdout.resume();
  const said = await text;
  const code = await handle.exitCode();
  const report = readReport(said);
  if (report === undefined) throw noReport(said, code, instance);
  return report;
};

/** How long nothing may move: an agent can stop the program inside, which would hold the command for ever. */
const STILL_MS = 60_000;

const standsStill = (instance: string, ms: number): JackinError =>
  new JackinError('failed', `nothing has moved for ${ms / 1000} seconds: the copying program in instance ${instance} does not go on`, {
    hint: `an agent may have stopped it; \`jackin eject ${instance}\` ends the container and keeps its state`,
  });

/** Runs a copy that tells whenever something has moved, and gives it up when nothing does. */
const whileItMoves = async <T>({ stdin }: ExecHandle, { instance, stillMs = STILL_MS }: CopyCall, work: (moved: () => void) => Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const still = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(standsStill(instance, stillMs));
      stdin.destroy();
    }, stillMs);
  });
  try {
    return await Promise.race([work(() => void timer?.refresh()), still]);
  } finally {
    clearTimeout(timer);
  }
};

/** Passes a stream on, and tells of each piece. */
async function* telling(source: AsyncIterable<unknown>, moved: () => void): AsyncGenerator {
  for await (const chunk of source) {
    moved();
    yield chunk;
  }
}

/** Hands the tar over until it ends, or until the program inside has: that takes nothing more, and the engine may leave its pipe open. */
const send = async (tar: AsyncIterable<unknown>, stdin: Duplex, over: AbortSignal): Promise<void> => {
  for await (const chunk of tar) {
    if (over.aborted) return;
    if (!stdin.write(chunk)) await once(stdin, 'drain', { signal: over });
  }
};

/** Copies a file or a directory of the host to a place in a container. */
export const copyIn = async (source: Source, call: CopyCall): Promise<CopyResult> => {
  lookAt(source);
  const handle = await call.start();
  const text = tailOf(handle.stderr);
  const sent = newTally();
  const tar = pack();
  const ended = new AbortController();
  const end = (): void => ended.abort();
  handle.stdout.resume().once('end', end).once('error', end);
  const over = AbortSignal.any([call.signal, ended.signal]);
  try {
    const { failed, report: whole } = await whileItMoves(handle, call, async (moved) => {
      const [read] = await Promise.allSettled([packTree(source, tar, sent), send(telling(tar, moved), handle.stdin, over)]);
      handle.stdin.end();
      const refused = read.status === 'rejected' && read.reason instanceof JackinError ? read.reason : undefined;
      const isWhole = refused === undefined && !call.signal.aborted;
      return { failed: refused, report: isWhole ? await finish(handle, text, call.instance) : undefined };
    });
    if (whole?.failed !== undefined) throw failureOf(whole.failed, call.instance);
    if (whole !== undefined) return { copied: whole.copied, skipped: sent.skipped };
    // It removes what is half written; an engine that hangs is not waited for.
    const left = finish(handle, text, call.instance).catch(() => undefined);
    const report = await Promise.race([left, delay(GOODBYE_MS, undefined, { ref: false })]);
    throw failed ?? interruptedOf(report?.copied ?? newTally().copied, call.instance);
  } finally {
    handle.stdin.destroy();
  }
};

/** Copies what the container sends to its place on the host. */
export const copyOut = async (place: Place, call: CopyCall): Promise<CopyResult> => {
  const handle = await call.start();
  const text = tailOf(handle.stderr);
  const { copied } = newTally();
  const leave = (): void => void handle.stdin.destroy();
  call.signal.addEventListener('abort', leave, { once: true });
  try {
    if (call.signal.aborted) leave();
    const { written, report } = await whileItMoves(handle, call, async (moved) => {
      const failed = await unpackTree(telling(handle.stdout, moved), place, copied).then(() => undefined, (error: unknown) => error);
      // Our own refusal, or a full disk here, is the cause; a stream that was cut has its cause inside.
      if (failed instanceof JackinError) throw failed;
      return { written: failed, report: await finish(handle, text, call.instance) };
    });
    if (report.failed !== undefined) throw failureOf(report.failed, call.instance);
    if (written !== undefined) throw new JackinError('failed', `instance ${call.instance}: ${messageOf(written)}`, { cause: written });
    return { copied, skipped: report.skipped };
  } catch (error) {
    throw call.signal.aborted ? interruptedOf(copied, call.instance) : error;
  } finally {
    call.signal.removeEventListener('abort', leave);
    handle.stdin.destroy();
  }
};
