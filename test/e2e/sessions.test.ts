/** An instance as a place to work in: several sessions, each with a name, and a way back from every state. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openTerminal } from './terminal.ts';
import type { Terminal } from './terminal.ts';
import { findSecrets } from './find-secrets.ts';
import { CREDENTIAL_PLACES, isInFilesystem, makeWorld, writeLogin } from './world.ts';
import type { Login, World } from './world.ts';

const SLOWLY = { timeout: 60_000, interval: 100 };
const PROMPT = /│ >/;
const DETACH = '\x1cd';
/** No agent reaches anybody but the fake servers. */
const OPERATORS_VALUE = 'fake-value-of-the-operator-8c1f';
const CONFIG = `[env]
OPERATORS = "$OPERATORS_VALUE"
KIMI_DISABLE_TELEMETRY = "1"
ANTHROPIC_BASE_URL = "http://claude.demo:8080"
CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = "1"
CLAUDE_CODE_MAX_RETRIES = "1"
HTTPS_PROXY = "http://claude.demo:8080"
NO_PROXY = "claude.demo,kimi.demo"
`;

let world: World;
let login: Login;
const open: Terminal[] = [];

beforeEach(async () => {
  world = await makeWorld('sessions');
  login = await writeLogin(`${world.sandbox.dirs.userHome}/.kimi-code`);
  await mkdir(`${world.sandbox.dirs.userHome}/.claude`);
  const [accessToken, refreshToken] = ['fake-access', 'fake-refresh'];
  const claudeAiOauth = { accessToken, refreshToken, expiresAt: Date.now() + 3_600_000, scopes: ['user:inference', 'user:profile'], subscriptionType: 'max' };
  await writeFile(`${world.sandbox.dirs.userHome}/.claude/.credentials.json`, JSON.stringify({ claudeAiOauth }), { mode: 0o600 });
  await world.config(CONFIG);
  Object.assign(world.sandbox.env, { OPERATORS_VALUE });
  await world.serve({ logins: [login] });
});

afterEach(async () => {
  for (const terminal of open.splice(0)) terminal.close();
  await world.remove();
});

const jackinIn = (size: { cols?: number; rows?: number }, ...args: string[]) => {
  const { cli, dirs, env } = world.sandbox;
  const terminal = openTerminal(process.execPath, [cli, ...args], { cwd: dirs.project, env, ...size });
  open.push(terminal);
  return terminal;
};
const jackin = (...args: string[]) => jackinIn({}, ...args);

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

/** Without the strip, whose words change, and without what stood on the screen before the program. */
const picture = (terminal: Terminal, from = ''): string => {
  const lines = terminal.screen().split('\n');
  const start = Math.max(0, lines.findIndex((line) => line.includes(from)));
  return lines.slice(start).filter((line) => !line.includes(' jackin ')).join('\n').trimEnd();
};

test('a person at a terminal: two agents and an editor in one instance, the same screens after leaving, a kill, and in another window', async () => {
  const load = jackin('load', 'agent-smith', world.sandbox.dirs.project, '--agent', 'kimi', '--network', world.sandbox.network);
  await expect.poll(() => load.screen(), SLOWLY).toMatch(PROMPT);
  load.type('half a question');
  await expect.poll(() => load.screen(), SLOWLY).toContain('> half a question');
  const kimiBefore = picture(load, '╭');
  load.type(DETACH);
  expect(await load.ended).toBe(0);
  const [container = ''] = await world.containers();

  // Another agent: its login was handed over at the launch, so it asks nothing.
  const claude = jackin('hardline', container, '--new', '--agent', 'claude');
  await expect.poll(() => claude.screen(), SLOWLY).toMatch(/bypass permissions on/);
  claude.type(DETACH);
  expect(await claude.ended).toBe(0);

  const editor = jackin('hardline', container, '--shell');
  await expect.poll(() => editor.screen(), SLOWLY).toMatch(/[#$]/);
  editor.type('vi -u NONE notes.txt\r');
  await expect.poll(() => editor.screen(), SLOWLY).toContain('"notes.txt"');
  editor.type('iwide 你好 and ünïcödé ✓');
  await expect.poll(() => editor.screen(), SLOWLY).toContain('wide 你好 and ünïcödé ✓');
  const editorBefore = picture(editor);
  editor.close();
  expect(await editor.ended).toBe(137);

  const again = jackin('hardline', container, '--session', 'shell-1');
  await expect.poll(() => picture(again), SLOWLY).toBe(editorBefore);
  again.resize(70, 20);
  await expect.poll(() => again.screen().split('\n').length, SLOWLY).toBeLessThanOrEqual(20);
  await expect.poll(() => again.screen(), SLOWLY).toContain('wide 你好 and ünïcödé ✓');
  again.type(DETACH);
  expect(await again.ended).toBe(0);

  const kimi = jackin('hardline', container);
  await expect.poll(() => picture(kimi, '╭'), SLOWLY).toBe(kimiBefore);
  kimi.type(DETACH);
  await kimi.ended;

  const small = jackinIn({ cols: 80, rows: 24 }, 'hardline', container, '--session', 'shell-1');
  await expect.poll(() => small.screen(), SLOWLY).toContain('wide 你好 and ünïcödé ✓');
  small.type('\x1b:wq\r');
  await expect.poll(() => small.screen(), SLOWLY).toMatch(/project[#$] ?$/m);
  small.type('cat notes.txt; exit 23\r');
  expect(await small.ended).toBe(23);
  expect(await readFile(path.join(world.sandbox.dirs.project, 'notes.txt'), 'utf8')).toBe('wide 你好 and ünïcödé ✓\n');

  const names = (await inspect(container)).sessions.map(({ name, state, exit_code }) => `${name} ${state} ${exit_code}`);
  expect(names).toEqual(['kimi-1 running null', 'claude-1 running null', 'shell-1 exited 23']);
});

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

test('inside: the strip, the keys between sessions, and a clipboard that stays the operator’s', async () => {
  const id = await startDetached();
  const terminal = jackin('hardline', id, '--shell');
  const strip = () => terminal.screen().split('\n').at(-1) ?? '';
  await expect.poll(() => terminal.screen(), SLOWLY).toMatch(/project[#$]/);
  await expect.poll(strip, SLOWLY).toContain(`jackin ${id}  │ 1 kimi-1  2 shell-1* │`);
  // The program has one row less than the window, and prints as much as it likes.
  terminal.type('stty size; seq 1 200; echo over\r');
  await expect.poll(() => terminal.screen(), SLOWLY).toContain('\nover');
  expect(terminal.screen()).toContain('\n200\nover');
  expect(strip()).toContain('shell-1*');

  terminal.type('printf "\\033]52;c;ZmFrZQ==\\007\\033[21t\\033]0;mine\\007"; stty size\r');
  await expect.poll(strip, SLOWLY).toContain('clipboard write denied');
  expect(terminal.screen()).toContain('29 100');

  terminal.type('\x1cp');
  await expect.poll(() => terminal.screen(), SLOWLY).toMatch(PROMPT);
  await expect.poll(strip, SLOWLY).toContain('1 kimi-1*  2 shell-1');
  expect(terminal.screen()).not.toContain('over');
  terminal.type('typed into kimi');
  await expect.poll(() => terminal.screen(), SLOWLY).toContain('> typed into kimi');
  terminal.type('\x1c2');
  await expect.poll(strip, SLOWLY).toContain('2 shell-1*');
  await expect.poll(() => terminal.screen(), SLOWLY).toContain('29 100');
  expect(terminal.screen()).not.toContain('typed into kimi');

  terminal.type('\x1cs');
  await expect.poll(() => terminal.screen(), SLOWLY).not.toContain('jackin ');
  terminal.type('stty size; exit 4\r');
  expect(await terminal.ended).toBe(4);

  const bare = jackin('hardline', id, '--shell', '--no-strip', '--', 'sh', '-c', 'stty size; sleep 60');
  await expect.poll(() => bare.screen(), SLOWLY).toContain('30 100');
  expect(bare.screen()).not.toContain('jackin ');
});

test('files go in and come out with the rights of the agent, and a hostile tree comes out harmless', async () => {
  const id = await startDetached();
  const { project } = world.sandbox.dirs;
  await mkdir(path.join(project, 'tree/sub'), { recursive: true });
  await writeFile(path.join(project, 'tree/sub/run'), 'in and out', { mode: 0o755 });
  expect(await world.jackin(['cp', 'tree', `${id}:~/tree`])).toMatchObject({ code: 0, stderr: expect.stringContaining('copied 1 file') as string });
  const inside = (script: string) => world.jackin(['hardline', id, '--shell', '--', 'sh', '-c', script]);
  expect((await inside('stat -c "%a %U" ~/tree/sub/run && cat ~/tree/sub/run')).stdout).toBe('755 agent\nin and out');
  await inside('cd ~/tree && ln -s /etc/passwd out && ln -s sub/run in && head -c 20000000 /dev/zero > big && mkfifo pipe');
  const { code, stdout } = await world.jackin(['cp', `${id}:/home/agent/tree`, 'back', '--format', 'json']);
  expect({ code, ...(JSON.parse(stdout) as { data: object }).data }).toMatchObject({ code: 0, files: 2, links: 1, skipped_total: 2 });
  expect((await readdir(path.join(project, 'back'))).sort()).toEqual(['big', 'in', 'sub']);
  expect(await readFile(path.join(project, 'back/in'), 'utf8')).toBe('in and out');
  expect((await stat(path.join(project, 'back/big'))).size).toBe(20_000_000);
  expect(await world.jackin(['cp', `${id}:/root/secret`, '.'])).toMatchObject({ code: expect.toSatisfy((exit) => exit !== 0) as number });
  expect(await world.jackin(['cp', 'tree', `${id}:/proc/x`])).toMatchObject({ code: expect.toSatisfy((exit) => exit !== 0) as number });
});

test('an agent that exchanges a directory of the target for a link while files come out gets none of them elsewhere', async () => {
  const id = await startDetached();
  const { project, userHome } = world.sandbox.dirs;
  const precious = path.join(userHome, 'precious');
  await mkdir(precious);
  await writeFile(path.join(precious, '.bashrc'), 'mine');
  const inside = (script: string) => world.jackin(['hardline', id, '--shell', '--', 'sh', '-c', script]);
  const many = 20_000;
  expect((await inside(`mkdir -p ~/out/a && cd ~/out/a && seq ${many} | split -l 1 -a 4 - f && echo evil > .bashrc`)).code).toBe(0);
  const { cli, env } = world.sandbox;
  const copy = spawn(process.execPath, [cli, 'cp', `${id}:/home/agent/out`, 'out'], { cwd: project, env, stdio: 'ignore' });
  const ended = once(copy, 'exit');
  await expect.poll(async () => (await readdir(path.join(project, 'out/a')).catch(() => [])).length, { timeout: 60_000, interval: 2 }).toBeGreaterThan(0);
  // Between two files, as the agent sees it in the mount: nothing is half written.
  const stopBetweenFiles = async (): Promise<string[]> => {
    copy.kill('SIGSTOP');
    await expect.poll(async () => (await readFile(`/proc/${copy.pid}/stat`, 'utf8')).split(') ')[1]?.[0]).toBe('T');
    const names = await readdir(path.join(project, 'out/a'));
    if (!names.some((name) => name.endsWith('.tmp'))) return names;
    copy.kill('SIGCONT');
    return await stopBetweenFiles();
  };
  expect((await stopBetweenFiles()).length).toBeLessThan(many);
  // The mount is shared: what is done here the agent can do in the container.
  await rename(path.join(project, 'out/a'), path.join(project, 'aside'));
  await symlink(precious, path.join(project, 'out/a'));
  copy.kill('SIGCONT');
  const exit = await ended;
  expect((await readdir(precious)).length).toBe(1);
  expect(await readFile(path.join(precious, '.bashrc'), 'utf8')).toBe('mine');
  expect(exit).toEqual([0, null]);
  expect((await readdir(path.join(project, 'aside'))).length).toBe(many + 1);

  expect((await inside(`cd ${project} && rm -r out && ln -s ${precious} out`)).code).toBe(0);
  const refused = await world.jackin(['cp', `${id}:/home/agent/out/a/.`, './out']);
  expect(refused).toMatchObject({ code: 8, stderr: expect.stringContaining(`${project}/out is a link to ${precious}, and the agent of instance ${id} can make links there`) as string });
  expect(await readdir(precious)).toEqual(['.bashrc']);
});

test('a commit in the container is the operator’s, and says which agent made it', async () => {
  await writeFile(`${world.sandbox.dirs.userHome}/.gitconfig`, '[user]\n\tname = Neo Anderson\n\temail = neo@example.test\n');
  await world.config(`[git]\ncoauthor_trailer = true\ndco = true\n${CONFIG}`);
  const id = await startDetached();
  const hook = 'echo "#!/bin/sh" > .git/hooks/pre-commit; echo "echo own hook >&2" >> .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit';
  const script = `git init -q made && cd made && ${hook} && JACKIN_AGENT=kimi git commit -q --allow-empty -m "by an agent" && git log -1 --format="%B%an <%ae>"`;
  const { code, stdout, stderr } = await world.jackin(['hardline', id, '--shell', '--', 'sh', '-c', script]);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('own hook') as string });
  expect(stdout).toBe('by an agent\n\nCo-authored-by: Kimi <noreply@moonshot.ai>\nSigned-off-by: Neo Anderson <neo@example.test>\nNeo Anderson <neo@example.test>\n');
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

  // Nothing of the ways back has left a secret anywhere.
  const secrets = [login.accessToken, login.refreshToken, OPERATORS_VALUE];
  expect(await isInFilesystem(container, secrets)).toBe(false);
  expect(findSecrets(await world.traces(), secrets, CREDENTIAL_PLACES)).toEqual([]);
  expect(findSecrets(await world.traces(), [login.accessToken], /^$/).length).toBeGreaterThan(0);
  const value = await world.jackin(['hardline', id, '--shell', '--', 'sh', '-c', 'printf %s "$OPERATORS"']);
  expect(value.stdout).toBe(OPERATORS_VALUE);

  const said = await world.jackin(['hardline', id, '--shell', '--', 'sh', '-c', 'echo out; echo err >&2; exit 9']);
  expect(said).toMatchObject({ code: 9, stdout: 'out\n' });
  expect(said.stderr).toContain('err\n');
  expect(await world.jackin(['eject', id, '--purge'])).toMatchObject({ code: 0 });
  expect(await world.jackin(['hardline', id])).toMatchObject({ code: 2 });
  expect(await world.jackin(['hardline', id, '--detach'])).toMatchObject({ code: 7 });
});
