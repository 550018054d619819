/** Keepers that hang, or end at the wrong moment: what a launch makes of them. */
import { mkdir, rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { printToken } from '../../../src/agents/kimi-token.ts';
import { ownLoginDir } from '../../../src/auth/own-login.ts';
import { locatePaths, type Paths } from '../../../src/config/paths.ts';
import { keeperStatus } from '../../../src/keeper/ask-keeper.ts';
import { freshLogin, holdLogin, type KeeperDeps } from '../../../src/keeper/fresh-login.ts';
import { socketOf } from '../../../src/keeper/keeper-socket.ts';
import { KIMI_CODE_CONFIG, writeFiles } from '../../fixtures/kimi/login.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;
let paths: Paths;
let starts: number;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  root = await makeTemporaryDir();
  paths = locatePaths({ env: { JACKIN_HOME_DIR: path.join(root, 'jackin') }, home: root });
  starts = 0;
  await mkdir(paths.keeperDir, { recursive: true, mode: 0o700 });
  const token = { accessToken: 'fake-access', refreshToken: 'fake-refresh', expiresAt: 1, expiresIn: 900, scope: '', tokenType: 'Bearer' };
  await writeFiles(ownLoginDir(paths.loginsDir, 'work'), { 'config.toml': KIMI_CODE_CONFIG, device_id: 'd', 'credentials/kimi-code.json': printToken(token) });
});

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  await rm(root, { recursive: true });
});

/** Something that listens in the place of a keeper; `end` is how it dies. */
const listen = async (onLine: (socket: net.Socket, line: string) => void) => {
  const sockets = new Set<net.Socket>();
  const heard: string[] = [];
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (data) => (heard.push(String(data)), onLine(socket, String(data))));
  });
  await rm(socketOf(paths), { force: true });
  await new Promise<void>((resolve) => server.listen(socketOf(paths), () => resolve()));
  const end = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  cleanUp.push(() => end().catch(() => undefined));
  return { end, heard, sockets };
};

const answers = (socket: net.Socket): void => void socket.write('{"ok":null}\n');
const deps = (signal = new AbortController().signal, startKeeper: KeeperDeps['startKeeper'] = async () => undefined): KeeperDeps => ({
  env: { JACKIN_HOME_DIR: paths.jackinHome }, home: root, uid: process.getuid!(), signal, startKeeper: async (at) => ((starts += 1), startKeeper(at)),
});

it('one that hangs can be left with Ctrl-C', async () => {
  await listen(() => undefined);
  const stop = new AbortController();
  const held = holdLogin('work', 'jk-one', deps(stop.signal));
  setTimeout(() => stop.abort(), 100);
  await expect(held).rejects.toMatchObject({ code: 'interrupted' });
}, 3000);

it('one that hangs is told of by who only asks how it is', async () => {
  await listen(() => undefined);
  await expect(keeperStatus(paths)).rejects.toMatchObject({ code: 'failed', message: 'the keeper runs and does not answer', hint: expect.stringContaining('keeper.lock') });
}, 8000);

it('one that was about to end when a launch came is followed by another', async () => {
  const first = await listen(() => void first.end());
  const second = async (): Promise<void> => void (await listen(answers));
  expect((await freshLogin('work', deps(undefined, second))).account).toBe('work');
  expect(starts).toBe(1);
}, 5000);

it('one that was told to end is not', async () => {
  const first = await listen((socket) => void socket.end('{"bye":true}\n', () => void first.end()));
  await expect(freshLogin('work', deps())).rejects.toMatchObject({ code: 'failed', message: 'the keeper ended before it answered' });
  expect(starts).toBe(0);
}, 5000);

it('one that comes in the place of a killed one is kept by the session that goes on, and let go with it', async () => {
  const first = await listen(answers);
  const hold = await holdLogin('work', 'jk-one', deps());
  await hold.started();
  await first.end();
  const second = await listen(answers);
  await expect.poll(() => second.heard.join('')).toContain('"op":"fresh","account":"work"');
  hold.release();
  await expect.poll(() => second.sockets.size).toBe(0);
}, 5000);

it('one that comes when the session is over already is not kept by it: its process could not end', async () => {
  const first = await listen(answers);
  const hold = await holdLogin('work', 'jk-one', deps());
  await hold.started();
  await first.end();
  await expect.poll(() => starts).toBe(1);
  hold.release();
  const second = await listen(answers);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(second.sockets.size).toBe(0);
}, 5000);

it.each(['<html>', 'null', '3', '[]', '{}', '{"error":3}', '{"error":{"code":"constructor","message":"m"}}', '{"error":{"message":"m"}}', '[['.repeat(30_000)])('one that is none is told of, and ends no process: %#', async (said) => {
  await listen((socket) => void socket.write(`${said}\n`));
  await expect(keeperStatus(paths)).rejects.toMatchObject({ code: 'failed', message: expect.stringContaining('does not answer as a keeper of this version does') });
});

it('one whose line never ends fills no memory', async () => {
  const chunk = 'x'.repeat(1024 * 1024);
  let sent = 0;
  await listen((socket) => {
    const send = (): void => {
      for (; !socket.destroyed && sent < 100; sent += 1) if (!socket.write(chunk)) return void socket.once('drain', send);
    };
    send();
  });
  await expect(keeperStatus(paths)).rejects.toMatchObject({ code: 'failed', message: 'the keeper ended before it answered' });
  expect(sent).toBeLessThan(100);
});
