import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import * as z from 'zod';
import type { PullOffer, PullReport } from '../../capsule/protocol.ts';
import { plainLine } from '../../docker/engine-call.ts';
import type { Engine, ExecHandle } from '../../docker/engine.ts';
import type { PlannedPull } from '../../plan/pulls.ts';
import { isCommit } from '../../roles/repository.ts';
import { createPrivateDir, temporaryName } from '../../shared/atomic-files.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Fetched } from './fetch-branch.ts';

/** For all that the program inside does: read a bundle from our disk, and check files out. */
const LIMIT_MS = 120_000;
/** More than this is not one of our lines. */
const MAX_OUTPUT = 64 * 1024;

const offerMessage: z.ZodType<PullOffer> = z.object({ haves: z.array(z.string().refine(isCommit)).max(8) });

const reportMessage: z.ZodType<PullReport> = z.object({
  outcome: z.enum(['updated', 'same', 'not']),
  commits: z.int().min(0),
  why: z.string().transform((text) => plainLine(text.slice(0, 1000)).replaceAll(/\s+/g, ' ').slice(0, 300)).optional(),
});

/** A container and the repository in it. */
export interface Inside {
  engine: Engine;
  container: string;
  pull: PlannedPull & { from: NonNullable<PlannedPull['from']> };
  signal: AbortSignal;
}

/** The lines that the program inside says, as it says them. */
async function* linesOf({ stdout }: ExecHandle): AsyncGenerator<string> {
  let length = 0;
  stdout.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > MAX_OUTPUT) stdout.destroy(new Error('it says too much'));
  });
  yield* createInterface({ input: stdout, crlfDelay: Infinity });
}

const next = async <T>(lines: AsyncGenerator<string>, schema: z.ZodType<T>): Promise<T | PullReport> => {
  const { value, done } = await lines.next();
  if (done === true) throw new Error('the program in the container has ended without a word');
  const said: unknown = JSON.parse(value);
  const ended = reportMessage.safeParse(said);
  return ended.success ? ended.data : schema.parse(said);
};

const converse = async (handle: ExecHandle, fetched: Fetched): Promise<PullReport> => {
  const lines = linesOf(handle);
  const offer = await next(lines, offerMessage);
  if ('outcome' in offer) return offer;
  if (offer.haves.includes(fetched.commit)) {
    handle.stdin.end();
  } else {
    // Beside the locks, whose takers remove it when this process is killed.
    const scratch = temporaryName(path.join(path.dirname(fetched.directory), 'bundle'));
    await createPrivateDir(scratch);
    try {
      const file = path.join(scratch, 'new.bundle');
      await fetched.bundle(offer.haves, file);
      await pipeline(createReadStream(file), handle.stdin);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  return await next(lines, reportMessage);
};

const inWords = ({ outcome, commits, why }: PullReport, { branch }: Inside['pull']['from']): string => {
  if (outcome === 'not') return `not pulled: ${why ?? 'git failed in the container'}`;
  if (outcome === 'same') return `${branch} is up to date`;
  return `pulled ${branch}, ${commits} new commit${commits === 1 ? '' : 's'}`;
};

/**
 * Brings what was fetched into the repository, by a program in the container with the
 * agent's rights. What comes from there is the agent's word. Result: one clause for a
 * person; throws only when interrupted.
 */
export const bringIn = async (fetched: Fetched, { engine, container, pull, signal }: Inside): Promise<string> => {
  const limit = AbortSignal.timeout(LIMIT_MS);
  const { remote, remote_branch: there, branch } = pull.from;
  const program = ['/jackin/runtime/bin/node', '/jackin/runtime/capsule/pull.mjs', pull.target, branch, `refs/remotes/${remote}/${there}`, fetched.commit];
  let leave: (() => void) | undefined;
  try {
    const handle = await engine.exec(container, program);
    handle.stderr.resume().on('error', () => undefined);
    handle.stdin.on('error', () => undefined);
    leave = () => void handle.stdin.destroy();
    const stopped = new Promise<never>((_resolve, reject) => {
      AbortSignal.any([signal, limit]).addEventListener('abort', () => reject(new Error('interrupted')), { once: true });
    });
    return inWords(await Promise.race([converse(handle, fetched), stopped]), pull.from);
  } catch (error) {
    signal.throwIfAborted();
    return `not pulled: ${limit.aborted ? `the container did not answer within ${LIMIT_MS / 1000} seconds` : plainLine(messageOf(error).split('\n')[0]!).slice(0, 300)}`;
  } finally {
    leave?.();
  }
};
