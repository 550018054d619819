import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { NOTHING_SEEDED, readRecord } from '../../../../src/capsule/home/record.ts';

const readText = async (text: string) => {
  const state = await mkdtemp(path.join(tmpdir(), 'jackin-record-'));
  onTestFinished(() => rm(state, { recursive: true, force: true }));
  await mkdir(path.join(state, 'auth'));
  await writeFile(path.join(state, 'auth', 'kimi.json'), text);
  return readRecord({ state, slug: 'kimi' } as Parameters<typeof readRecord>[0]);
};

it.each(['', 'null', '3', '{"files":{}}', '{"files":[],"keys":[]}', '{"files":{"a":1},"keys":[]}', '{"files":{},"keys":[null]}', '{"files":{"a":["b"]},"keys":[]}'])('a record of another form counts as none: %s', async (text) => {
  expect(await readText(text)).toEqual(NOTHING_SEEDED);
});

it('a record that was written is read again', async () => {
  expect(await readText('{"files":{"a":"b"},"keys":["c"]}')).toEqual({ files: { a: 'b' }, keys: ['c'] });
});
