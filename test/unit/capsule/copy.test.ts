/** The program that runs inside for `jackin cp`, with its three streams. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { identitiesAbove, identityOf } from '../../../src/shared/same-place.ts';
import { runCopy } from '../../../src/capsule/copy-program.ts';
import type { CopyReport } from '../../../src/shared/copied.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'jackin-copy-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => path.join(root, name);

/** A host that stays until the program has ended, or sends `input` and goes. */
const run = async (argv: string[], input?: Uint8Array): Promise<{ code: number; output: Buffer; report: CopyReport }> => {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const stdin = input === undefined ? new PassThrough() : Readable.from([input]);
  const read = Promise.all([buffer(stdout).catch(() => Buffer.alloc(0)), text(stderr)]);
  const [direction = '', ...places] = argv;
  const code = await runCopy([direction, '', ...places], { stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  const [output, said] = await read;
  return { code, output, report: JSON.parse(said) as CopyReport };
};

it('writes a tree to stdout, and takes one from stdin', async () => {
  mkdirSync(at('tree'));
  writeFileSync(at('tree/small'), 'text');
  writeFileSync(at('tree/large'), Buffer.alloc(3_000_000, 'x'));
  const out = await run(['out', at('tree')]);
  expect(out).toMatchObject({ code: 0, report: { copied: { files: 2, directories: 1, bytes: 3_000_004 } } });
  mkdirSync(at('there'));
  const back = await run(['in', at('there'), 'name'], out.output);
  expect(back).toMatchObject({ code: 0, report: { copied: { files: 2, bytes: 3_000_004 } } });
  expect(readFileSync(at('there/name/large')).length).toBe(3_000_000);
});

it.each([
  [['out', 'nothing-there'], 'not-found'],
  [['in', 'nothing/there', 'name'], 'not-found'],
  [['in', 'file/below', 'name'], 'conflict'],
])('%j says in its report why it failed', async ([direction = '', where = '', ...more], code) => {
  writeFileSync(at('file'), 'x');
  const { output } = await run(['out', at('file')]);
  const failed = await run([direction, at(where), ...more], output);
  expect(failed).toMatchObject({ code: 1, report: { failed: { code, message: expect.stringContaining(at(where.replace('/there', ''))) as string } } });
});

it('ends when the host leaves, although nobody reads what it writes', async () => {
  writeFileSync(at('large'), Buffer.alloc(3_000_000));
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const running = runCopy(['out', '', at('large')], { stdin, stdout, stderr });
  stdin.end();
  expect(await running).toBe(1);
});

it('leaves nothing half-written of a stream that is cut', async () => {
  writeFileSync(at('large'), Buffer.alloc(3_000_000));
  const { output } = await run(['out', at('large')]);
  mkdirSync(at('there'));
  expect(await run(['in', at('there'), 'name'], output.subarray(0, 2_000_000))).toMatchObject({ code: 1, report: { failed: { code: 'failed' } } });
  expect(readdirSync(at('there'))).toEqual([]);
});

it('never copies a tree into itself, however its target is reached', async () => {
  mkdirSync(at('project/backup'), { recursive: true });
  symlinkSync(at('project'), at('other-way'));
  symlinkSync(at('project/backup'), at('straight-in'));
  const source = identityOf(at('project'))!;
  const refused = async (argv: string[]) => {
    const streams = { stdin: new PassThrough(), stdout: new PassThrough().resume(), stderr: new PassThrough() };
    streams.stdin.end();
    const code = await runCopy(argv, streams);
    return { code, report: streams.stderr.read()?.toString() as string };
  };
  const says = { code: 1, report: expect.stringContaining('inside of what is to be copied') as string };
  expect(await refused(['in', source, at('project/backup/new'), 'project'])).toMatchObject(says);
  expect(await refused(['in', source, at('other-way/backup')])).toMatchObject(says);
  expect(await refused(['in', source, at('straight-in/new')])).toMatchObject(says);
  expect(await refused(['out', identitiesAbove(at('project/backup')).join(','), at('other-way')])).toMatchObject(says);
});
