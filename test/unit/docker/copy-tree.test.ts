/** The host's end of a copy, with programs inside that do well, lie, break off or hang. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pack } from 'tar-stream';
import { runCopy } from '../../../src/capsule/copy-program.ts';
import { copyIn, copyOut, type CopyCall } from '../../../src/docker/copy-tree.ts';
import type { ExecHandle } from '../../../src/docker/engine.ts';
import { notExposed } from '../../../src/shared/find-place.ts';
import { JackinError } from '../../../src/shared/errors.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'jackin-copy-'));
  mkdirSync(at('host/tree'), { recursive: true });
  mkdirSync(at('inside'));
  writeFileSync(at('host/tree/a'), 'text');
  symlinkSync('/etc/passwd', at('host/tree/out'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => path.join(root, name);

type Streams = Record<'stdin' | 'stdout' | 'stderr', PassThrough>;
/** A program inside; it ends with the code, and its streams with it. */
type Program = (streams: Streams) => Promise<number> | number;

const call = (program: Program, signal = new AbortController().signal): CopyCall => ({
  instance: 'k7x2m9pq',
  signal,
  start: async (): Promise<ExecHandle> => {
    const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
    for (const stream of Object.values(streams)) stream.on('error', () => undefined);
    // As with an engine: when the host is gone, and has not only said all that it had to, the other streams end, too.
    const endAll = () => [streams.stdout, streams.stderr].map((stream) => stream.end());
    streams.stdin.once('close', () => streams.stdin.writableFinished || endAll());
    const done = Promise.resolve(program(streams)).finally(endAll);
    done.catch(() => undefined);
    return { ...streams, exitCode: async () => await done };
  },
});

const copying = (direction: string, ...places: string[]): Program => async (streams) => await runCopy([direction, '', ...places], streams);
const saying = (report: unknown, code = 1): Program => ({ stderr }) => {
  stderr.write(typeof report === 'string' ? report : `${JSON.stringify(report)}\n`);
  return code;
};
const nothing = { copied: { files: 0, directories: 0, links: 0, bytes: 0 }, skipped: { total: 0, named: [] } };

it('copies in and out, and names what was left out on either side', async () => {
  const there = await copyIn({ source: at('host/tree'), exposure: notExposed() }, call(copying('in', at('inside'), 'tree')));
  expect(there).toEqual({ copied: { files: 1, directories: 1, links: 0, bytes: 4 }, skipped: { total: 1, named: [{ path: 'out', why: 'link' }] } });
  symlinkSync('/etc/passwd', at('inside/tree/also-out'));
  const back = await copyOut({ target: at('host/back'), name: 'tree', exposure: notExposed() }, call(copying('out', at('inside/tree'))));
  expect(back).toMatchObject({ copied: { files: 1 }, skipped: { named: [{ path: 'also-out' }] } });
  expect(readdirSync(at('host/back'))).toEqual(['a']);
});

it('starts nothing inside for what is not there', async () => {
  const never: CopyCall = { ...call(() => 0), start: () => Promise.reject(new Error('started')) };
  await expect(copyIn({ source: at('host/nothing'), exposure: notExposed() }, never)).rejects.toMatchObject({ code: 'not-found' });
});

describe('what the program inside says', () => {
  it.each([
    ['not-found', 'not-found'],
    ['conflict', 'conflict'],
    ['disk.full', 'disk.full'],
    ['auth.dead', 'failed'],
    ['toString', 'failed'],
  ])('its failure %s is told as %s, without control characters', async (code, told) => {
    const program = saying({ ...nothing, failed: { code, message: 'this \u001b[2Jis\rwhy' } });
    await expect(copyOut({ target: at('host/back'), name: 'a', exposure: notExposed() }, call(program))).rejects.toMatchObject({ code: told, message: 'in instance k7x2m9pq: this iswhy' });
    await expect(copyIn({ source: at('host/tree'), exposure: notExposed() }, call(program))).rejects.toMatchObject({ code: told });
  });

  it.each([
    ['nothing', ''],
    ['something else', 'Killed\n'],
    ['numbers that are none', { ...nothing, copied: { files: -1 } }],
    ['a reason that does not exist', { ...nothing, skipped: { total: 1, named: [{ path: 'a', why: 'because' }] } }],
  ])('%s is not taken for a success', async (_, report) => {
    await expect(copyIn({ source: at('host/tree'), exposure: notExposed() }, call(saying(report, 0)))).rejects.toMatchObject({ code: 'failed', message: expect.stringContaining('was cut off') as string });
  });

  it('of a container that has no such program is that its jackin was too old', async () => {
    const program = saying("Error: Cannot find module\n  code: 'MODULE_NOT_FOUND'\n}\n\nNode.js v24.1.0\n");
    await expect(copyIn({ source: at('host/tree'), exposure: notExposed() }, call(program))).rejects.toMatchObject({ hint: expect.stringContaining('jackin eject k7x2m9pq') as string });
  });

  it('does not make a stream whole that was cut', async () => {
    const program: Program = ({ stdout, stderr }) => {
      const tar = pack();
      tar.entry({ name: '.', type: 'directory' });
      tar.entry({ name: 'half' }, 'h'.repeat(20_000));
      stdout.write((tar.read() as Buffer | null) ?? Buffer.alloc(0));
      stderr.write(`${JSON.stringify(nothing)}\n`);
      return 0;
    };
    await expect(copyOut({ target: at('host/back'), name: 'x', exposure: notExposed() }, call(program))).rejects.toMatchObject({ code: 'failed' });
    expect(readdirSync(at('host')).includes('back') ? readdirSync(at('host/back')) : []).toEqual([]);
  });
});

it('tells an engine that is gone from everything else', async () => {
  const gone: CopyCall = {
    ...call(() => 0),
    start: async () => {
      const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
      for (const stream of Object.values(streams)) stream.on('error', () => undefined);
      setImmediate(() => [streams.stdout, streams.stderr].map((stream) => stream.destroy(new Error('ECONNRESET'))));
      return { ...streams, exitCode: () => Promise.reject(new JackinError('engine.unreachable', 'gone')) };
    },
  };
  await expect(copyOut({ target: at('host/back'), name: 'a', exposure: notExposed() }, gone)).rejects.toMatchObject({ code: 'engine.unreachable' });
  await expect(copyIn({ source: at('host/tree'), exposure: notExposed() }, gone)).rejects.toMatchObject({ code: 'engine.unreachable' });
});

describe('an interrupt', () => {
  it('on the way out keeps what is whole, removes what is half, and says so', async () => {
    const abort = new AbortController();
    const program: Program = async ({ stdin, stdout }) => {
      const tar = pack();
      tar.on('error', () => undefined);
      tar.pipe(stdout, () => undefined);
      tar.entry({ name: '.', type: 'directory' });
      tar.entry({ name: 'whole' }, 'whole');
      const half = tar.entry({ name: 'half', size: 100_000 });
      half.on('error', () => undefined);
      half.write(Buffer.alloc(50_000));
      stdin.resume();
      await new Promise((resolve) => stdin.once('close', resolve));
      return 1;
    };
    const copied = copyOut({ target: at('host/back'), name: 'x', exposure: notExposed() }, call(program, abort.signal));
    copied.catch(() => undefined);
    await expect.poll(() => readdirSync(at('host/back')).length).toBe(2);
    abort.abort();
    await expect(copied).rejects.toMatchObject({ code: 'interrupted', message: expect.stringContaining('1 files were whole') as string });
    expect(readdirSync(at('host/back'))).toEqual(['whole']);
    expect(readFileSync(at('host/back/whole'), 'utf8')).toBe('whole');
  });

  it('on the way in waits until the program inside has removed what is half', async () => {
    writeFileSync(at('host/tree/large'), Buffer.alloc(3_000_000));
    const abort = new AbortController();
    const slow: Program = async (streams) => {
      const feed = new PassThrough();
      const run = runCopy(['in', '', at('inside'), 'tree'], { ...streams, stdin: feed });
      for await (const chunk of streams.stdin) {
        feed.write(chunk);
        if (!abort.signal.aborted) await delay(5);
      }
      feed.end();
      return await run;
    };
    const copied = copyIn({ source: at('host/tree'), exposure: notExposed() }, call(slow, abort.signal));
    copied.catch(() => undefined);
    await expect.poll(() => readdirSync(at('inside/tree')).some((name) => name.endsWith('.tmp'))).toBe(true);
    abort.abort();
    await expect(copied).rejects.toMatchObject({ code: 'interrupted' });
    expect(readdirSync(at('inside/tree')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a program inside that an agent has stopped', () => {
  const stopped: Program = () => new Promise<number>(() => undefined);
  const still = { code: 'failed', message: 'nothing has moved for 0.2 seconds: the copying program in instance k7x2m9pq does not go on' };

  it('does not hold a copy out for ever', async () => {
    const copied = copyOut({ target: at('host/back'), name: 'tree', exposure: notExposed() }, { ...call(stopped), stillMs: 200 });
    await expect(copied).rejects.toMatchObject(still);
  });

  it('does not hold a copy in for ever, whether it still takes something or not', async () => {
    await expect(copyIn({ source: at('host/tree'), exposure: notExposed() }, { ...call(stopped), stillMs: 200 })).rejects.toMatchObject(still);
    writeFileSync(at('host/tree/large'), Buffer.alloc(5_000_000));
    await expect(copyIn({ source: at('host/tree'), exposure: notExposed() }, { ...call(stopped), stillMs: 200 })).rejects.toMatchObject(still);
  });

  it('is waited for as long as something moves', async () => {
    const slow: Program = async (streams) => {
      const out = new PassThrough();
      const done = runCopy(['out', '', at('host/tree')], { ...streams, stdout: out });
      for await (const chunk of out) {
        for (let index = 0; index < 8; index += 1) {
          await delay(50);
          const bytes = chunk as Buffer;
          streams.stdout.write(bytes.subarray((index * bytes.length) / 8, ((index + 1) * bytes.length) / 8));
        }
      }
      return await done;
    };
    const result = await copyOut({ target: at('host/back'), name: 'tree', exposure: notExposed() }, { ...call(slow), stillMs: 300 });
    expect(result.copied.files).toBe(1);
  });
});
