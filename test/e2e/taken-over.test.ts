/** A container that does not answer, and an engine that goes away, with the real ones. */
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectEngine, engineSocket } from '../../scripts/lib/engine-api.mjs';
import { makeWorld, writeLogin, type World } from './world.ts';

const engine = connectEngine();
let world: World;
let id: string;
let container: string;

beforeEach(async () => {
  world = await makeWorld('taken-over');
  const login = await writeLogin(path.join(world.sandbox.dirs.userHome, '.kimi-code'));
  await world.config('');
  await world.serve({ logins: [login] });
  const { project } = world.sandbox.dirs;
  const argv = ['load', 'agent-smith', project, '--agent', 'kimi', '--network', world.sandbox.network, '--detach', '--no-input'];
  const { code, stdout, stderr } = await world.jackin(argv);
  if (code !== 0) throw new Error(`load ended with ${code}: ${stderr}`);
  id = stdout.trim();
  container = (await world.containers()).find((name) => name.includes(id))!;
});

afterEach(async () => {
  await world.remove();
});

/** What an agent can do: it has the same user id as the capsule. The file tells that it listens. */
const SILENT = `
  const { rmSync, writeFileSync } = require('node:fs');
  rmSync('/jackin/run/capsule.sock');
  const listening = () => writeFileSync('/jackin/run/taken-over', '');
  require('node:net').createServer((socket) => socket.resume()).listen('/jackin/run/capsule.sock', listening);
`;

test('a silent program in the place of the capsule holds up no command, and eject ends it', async () => {
  // Not waited for: it listens until its container ends.
  engine.exec(container, ['/jackin/runtime/bin/node', '-e', SILENT]).catch(() => undefined);
  const isThere = async () => (await engine.exec(container, ['test', '-e', '/jackin/run/taken-over'])).code;
  await expect.poll(isThere, { timeout: 30_000 }).toBe(0);
  const runs = [['--inspect'], ['--shell', '--', 'true'], ['--end', 'kimi-1'], ['--new', '--agent', 'kimi', '--detach']];
  const done = await Promise.all(runs.map((argv) => world.jackin(['hardline', id, ...argv])));
  for (const { code, stderr } of done) {
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('the container does not answer: there was no greeting within 20 s') as string });
    expect(stderr).toContain(`\`jackin eject ${id}\``);
  }
  expect((await world.jackin(['eject', id])).code).toBe(0);
});

/** The engine's socket by another way, which can be cut as a dying engine would. */
const startProxy = async (file: string) => {
  const open = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(engineSocket());
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => socket.destroy()).on('close', () => [client, upstream].forEach((one) => one.destroy()));
    }
    client.pipe(upstream);
    upstream.pipe(client);
    upstream.on('data', (bytes: Buffer) => {
      if (bytes.includes('the-session-runs')) cut();
    });
  });
  const cut = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(file, resolve));
  return { env: { DOCKER_HOST: `unix://${file}` }, cut };
};

test('an engine that goes away is named, with exit code 5; the session lives on', async () => {
  const proxy = await startProxy(path.join(world.sandbox.dirs.temp, 'engine.sock'));
  const argv = ['hardline', id, '--shell', '--', 'sh', '-c', 'echo the-session-runs; exec sleep 300'];
  const { code, stderr } = await world.jackin(argv, proxy.env);
  expect({ code, stderr }).toMatchObject({ code: 5, stderr: expect.stringMatching(/the engine does not answer: .*engine\.sock/) as string });
  expect(stderr).toContain(`once the engine answers, \`jackin hardline ${id}\` attaches again`);
  const { stdout } = await world.jackin(['hardline', id, '--inspect']);
  expect(stdout).toMatch(/shell-1 +running/);
});
