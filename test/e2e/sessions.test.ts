/** An instance as a place to work in: several sessions, each with a name, and a way back from every state. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openTerminal } from './terminal.ts';
import type { Terminal } from './terminal.ts';
import { makeWorld, writeLogin } from './world.ts';
import type { World } from './world.ts';

const SLOWLY = { timeout: 60_000, interval: 100 };
const PROMPT = /│ >/;

let world: World;
const open: Terminal[] = [];

beforeEach(async () => {
  world = await makeWorld('sessions');
  const login = await writeLogin(`${world.sandbox.dirs.userHome}/.kimi-code`);
  await world.config('');
  await world.serve({ logins: [login] });
});

afterEach(async () => {
  for (const terminal of open.splice(0)) terminal.close();
  await world.remove();
});

const jackin = (...args: string[]) => {
  const { cli, dirs, env } = world.sandbox;
  const terminal = openTerminal(process.execPath, [cli, ...args], { cwd: dirs.project, env });
  open.push(terminal);
  return terminal;
};

const startDetached = async (): Promise<string> => {
  const { code, stdout, stderr } = await world.jackin(['load', 'agent-smith', world.sandbox.dirs.project, '--agent', 'kimi', '--network', world.sandbox.network, '--detach', '--no-input']);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trim();
};

interface Inspected {
  state: string;
  exit_code: number | null;
  sessions: { name: string; state: string; exit_code: number | null; clients: number }[];
}

const inspect = async (id: string): Promise<Inspected> => {
  const { stdout } = await world.jackin(['hardline', id, '--inspect', '--format', 'json']);
  return (JSON.parse(stdout) as { data: Inspected }).data;
};

test('two agents and a shell in one instance, each attachable by name, each with its own exit code', async () => {
  const id = await startDetached();

  const shell = jackin('hardline', id, '--shell');
  await expect.poll(() => shell.screen(), SLOWLY).toMatch(/project[#$]/);
  shell.type('echo "session $JACKIN_SESSION_ID agent [$JACKIN_AGENT]"\r');
  await expect.poll(() => shell.screen(), SLOWLY).toContain('session shell-1 agent []');

  const second = await world.jackin(['hardline', id, '--new', '--agent', 'kimi', '--detach']);
  expect(second).toMatchObject({ code: 0, stdout: `${id}\n` });
  expect((await inspect(id)).sessions).toMatchObject([
    { name: 'kimi-1', state: 'running', clients: 0 },
    { name: 'shell-1', state: 'running', clients: 1 },
    { name: 'kimi-2', state: 'running', clients: 0 },
  ]);

  const kimi = jackin('hardline', id, '--session', 'kimi-2');
  await expect.poll(() => kimi.screen(), SLOWLY).toMatch(PROMPT);

  shell.type('exit 7\r');
  expect(await shell.ended).toBe(7);
  expect(await world.jackin(['hardline', id, '--end', 'kimi-1'])).toMatchObject({ code: 0 });
  expect((await inspect(id)).sessions).toMatchObject([
    { name: 'kimi-1', state: 'exited' },
    { name: 'shell-1', state: 'exited', exit_code: 7 },
    { name: 'kimi-2', state: 'running' },
  ]);
  kimi.close();
});

test('what was stopped, killed or ejected comes back by hardline, logged in', async () => {
  const id = await startDetached();
  const [container = ''] = await world.containers();
  // From outside, as a reboot would.
  await world.stopContainer(container);
  expect(await inspect(id)).toMatchObject({ state: 'exited', sessions: [] });
  expect(await world.jackin(['hardline', id, '--shell', '--detach'])).toMatchObject({ code: 8 });

  const again = await world.jackin(['hardline', id, '--detach']);
  expect(again).toMatchObject({ code: 0, stdout: `${id}\n` });
  expect(again.stderr).toContain('started again');
  expect((await inspect(id)).sessions).toMatchObject([{ name: 'kimi-1', state: 'running' }]);

  expect(await world.jackin(['eject', id])).toMatchObject({ code: 0 });
  expect(await inspect(id)).toMatchObject({ state: 'ejected' });
  const restored = await world.jackin(['hardline', id, '--detach']);
  expect(restored).toMatchObject({ code: 0, stdout: `${id}\n` });
  expect(await world.containers()).toEqual([container]);
  const answer = await world.jackin(['hardline', id, '--new', '--agent', 'kimi', '--prompt', 'are you there']);
  expect(answer).toMatchObject({ code: 0 });
  expect(answer.stdout).toContain('fake kimi heard: are you there');

  const said = await world.jackin(['hardline', id, '--shell', '--', 'sh', '-c', 'echo out; echo err >&2; exit 9']);
  expect(said).toMatchObject({ code: 9, stdout: 'out\n' });
  expect(said.stderr).toContain('err\n');
  expect(await world.jackin(['eject', id, '--purge'])).toMatchObject({ code: 0 });
  expect(await world.jackin(['hardline', id])).toMatchObject({ code: 2 });
  expect(await world.jackin(['hardline', id, '--detach'])).toMatchObject({ code: 7 });
});
