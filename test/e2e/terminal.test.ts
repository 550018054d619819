/** A person at a terminal: load, leave, come back, end. */
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openTerminal } from './terminal.ts';
import type { Terminal } from './terminal.ts';
import { leftoversOf, makeWorld, writeLogin } from './world.ts';
import type { World } from './world.ts';

const DETACH = '\x1c\x1c'; // Ctrl-\ twice
const SLOWLY = { timeout: 60_000, interval: 100 };
const PROMPT = /│ >/;

let world: World;
const open: Terminal[] = [];

beforeEach(async () => {
  world = await makeWorld('terminal');
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

const load = () =>
  jackin('load', 'agent-smith', world.sandbox.dirs.project, '--agent', 'kimi', '--network', world.sandbox.network);

/** Types a line as a person does: an Enter that comes at once belongs to a paste, for Kimi. */
const enter = async (terminal: Terminal, line: string) => {
  terminal.type(line);
  await expect.poll(() => terminal.screen(), SLOWLY).toContain(`> ${line}`);
  await setTimeout(500);
  terminal.type('\r');
};

test('load shows Kimi at its prompt; Ctrl-\\ Ctrl-\\ leaves it running; hardline shows the same screen; /exit ends it', async () => {
  const first = load();
  await expect.poll(() => first.screen(), SLOWLY).toMatch(PROMPT);
  // The questions of a first run were answered, and the login is there.
  expect(first.screen()).not.toContain('Trust this folder');
  expect(first.screen()).toContain('Kimi for Coding');
  await enter(first, 'can you see me');
  await expect.poll(() => first.screen(), SLOWLY).toContain('fake kimi heard: can you see me');

  first.type(DETACH);
  expect(await first.ended).toBe(0);
  const [container = ''] = await world.containers();
  expect(container).not.toBe('');

  const second = jackin('hardline', container);
  await expect.poll(() => second.screen(), SLOWLY).toContain('fake kimi heard: can you see me');
  await expect.poll(() => second.screen(), SLOWLY).toMatch(PROMPT);
  await enter(second, 'and now');
  await expect.poll(() => second.screen(), SLOWLY).toContain('fake kimi heard: and now');

  await enter(second, '/exit');
  expect(await second.ended).toBe(0);

  expect(await world.jackin(['eject', 'agent-smith', '--purge'])).toMatchObject({ code: 0 });
  expect(await leftoversOf(world)).toMatchObject({ containers: [], networks: [], data: [] });
});

test('the size of the terminal reaches Kimi, at the start and when it changes', async () => {
  const terminal = load();
  await expect.poll(() => terminal.screen(), SLOWLY).toMatch(PROMPT);
  const width = () => Math.max(...terminal.screen().split('\n').map((line) => line.lastIndexOf('╮')));
  expect(width()).toBeGreaterThan(90);
  terminal.resize(70, 24);
  await expect.poll(width, SLOWLY).toBeLessThan(70);
});

test('hardline to something that does not run says so and leaves the terminal alone', async () => {
  const { cli, dirs, env } = world.sandbox;
  const script = `${process.execPath} ${cli} hardline no-such-instance; echo "code $?"; stty -a; read -r line`;
  const terminal = openTerminal('sh', ['-c', script], { cwd: dirs.project, env });
  open.push(terminal);
  await expect.poll(() => terminal.screen(), SLOWLY).toMatch(/[^-]icanon/);
  await expect.poll(() => terminal.screen(), SLOWLY).toMatch(/[^-]echo\b/);
  expect(terminal.screen()).toContain('no-such-instance');
  expect(terminal.screen()).toContain('code 7');
  terminal.type('\r');
  expect(await terminal.ended).toBe(0);
});
