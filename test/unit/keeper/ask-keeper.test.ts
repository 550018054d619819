import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectKeeper } from '../../../src/keeper/ask-keeper.ts';
import { socketOf } from '../../../src/keeper/keeper-socket.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
});

afterEach(() => rm(root, { recursive: true }));

test('a keeper that is killed in the middle of a conversation ends the conversation, and nothing else', async () => {
  const paths = { keeperDir: path.join(root, 'keeper') };
  await mkdir(path.dirname(socketOf(paths)), { recursive: true });
  // What was not read when a process dies is told to the other side as a broken connection.
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined);
    setTimeout(() => socket.destroy(), 50);
  });
  await new Promise<void>((resolve) => server.listen(socketOf(paths), resolve));
  try {
    const line = await connectKeeper(paths);
    const asked = [line?.ask({ op: 'status' }), line?.ask({ op: 'status' })];
    for (const one of asked) await expect(one).rejects.toThrow('the keeper ended before it answered');
    expect(await line?.ended).toBe(false);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
