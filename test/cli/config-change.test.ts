import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makeSandbox, type Sandbox } from './run.ts';

const SCHEMA_LINE = '#:schema ./schemas/config.schema.json\nversion = "v1alpha6"\n';

const dataOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout).data;

const withWorkspace = async (): Promise<Sandbox> => {
  const sandbox = await makeSandbox();
  await sandbox.write('config/workspaces/app.toml', `version = "v1alpha6"\nworkdir = "/app"\n\n[[mounts]]\nsrc = "${sandbox.project}"\ndst = "/app"\nreadonly = false\nisolation = "shared"\n`);
  return sandbox;
};

describe('config env', () => {
  it('sets, lists and removes a variable', async () => {
    const { run, read, config } = await makeSandbox();
    expect((await run(['config', 'env', 'set', 'ORG', 'acme'])).stdout).toBe(`set ORG (${config}/config.toml)\n`);
    expect(await read('config/config.toml')).toBe(`${SCHEMA_LINE}\n[env]\nORG = "acme"\n`);
    expect((await run(['config', 'env', 'set', 'ORG', 'acme'])).stdout).toContain('ORG has this value already');
    expect((await run(['config', 'env', 'list'])).stdout).toBe('ORG  ********\n');
    expect((await run(['config', 'env', 'list', '--reveal'])).stdout).toBe('ORG  acme\n');
    expect((await run(['config', 'env', 'unset', 'ORG'])).code).toBe(0);
    expect(await read('config/config.toml')).toBe(SCHEMA_LINE);
  });

  it('says that an absent one is not set, and that this is fine', async () => {
    const { run, config } = await makeSandbox();
    const { code, stdout } = await run(['config', 'env', 'unset', 'NOPE']);
    expect(code).toBe(0);
    expect(stdout).toBe(`NOPE is not set (${config}/config.toml)\n`);
    expect(await readdir(config)).toEqual([]);
  });

  it('has a table for each role', async () => {
    const { run } = await makeSandbox();
    await run(['config', 'env', 'set', 'A', '$HOST', '--role', 'ns/neo']);
    expect((await run(['config', 'env', 'list'])).stdout).toBe('no variables\n');
    expect(dataOf(await run(['config', 'env', 'list', '--role', 'ns/neo', '--format', 'json'])).variables).toEqual([{ name: 'A', kind: 'host', value: '$HOST' }]);
  });

  it('reads a secret from standard input, so that it is in no list of processes', async () => {
    const { run, read } = await makeSandbox();
    const { code, stdout, stderr } = await run(['config', 'env', 'set', 'KEY', '--stdin'], { input: 'sk-canary\n' });
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain('canary');
    expect(await read('config/config.toml')).toContain('KEY = "sk-canary"\n');
  });

  it('takes a value that begins with a dash behind --, and one of several lines', async () => {
    const { run } = await makeSandbox();
    expect((await run(['config', 'env', 'set', 'FLAGS', '--', '-x --format json'])).code).toBe(0);
    await run(['config', 'env', 'set', 'PEM', '--stdin'], { input: 'one\ntwo\u001b[2J\n' });
    expect((await run(['config', 'env', 'list', '--reveal'])).stdout).toBe('FLAGS  -x --format json\nPEM    "one\\ntwo\\u001b[2J"\n');
  });

  it.each<[string, string[], string | undefined, RegExp]>([
    ['no value', ['KEY'], undefined, /no value was given\n.*--stdin/],
    ['two values', ['KEY', 'x', '--stdin'], 'y', /exclude each other/],
    ['nothing on standard input', ['KEY', '--stdin'], '', /no value on standard input/],
    ['too much on standard input', ['KEY', '--stdin'], 'x'.repeat(70_000), /larger than 65536 bytes/],
    ['a reserved name', ['JACKIN_ROLE', 'sk-canary'], undefined, /JACKIN_ROLE is reserved: jackin sets it itself/],
    ['an impossible name', ['A-B', 'sk-canary'], undefined, /not a name for an environment variable/],
    ['a name of 10 kB', ['A'.repeat(10_000), 'sk-canary'], undefined, /not a name for an environment variable/],
    ['a name with control characters', ['A\u001b[2J', 'sk-canary'], undefined, /not a name for an environment variable/],
  ])('refuses %s, and writes nothing', async (_what, words, input, message) => {
    const { run, config } = await makeSandbox();
    const { code, stdout, stderr } = await run(['config', 'env', 'set', ...words], input === undefined ? {} : { input });
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stdout + stderr).not.toContain('canary');
    // oxlint-disable-next-line no-control-regex
    expect(stderr).not.toMatch(/\u001b/);
    expect(await readdir(config)).toEqual([]);
  });

  it('takes names of the prototype for what they are: names', async () => {
    const { run } = await makeSandbox();
    await run(['config', 'env', 'set', 'constructor', 'x']);
    await run(['config', 'env', 'set', '__proto__', 'x']);
    expect((await run(['config', 'env', 'list'])).stdout).toBe('constructor  ********\n__proto__    ********\n');
    expect((await run(['config', 'validate'])).code).toBe(0);
    expect((await run(['config', 'env', 'unset', 'toString'])).stdout).toContain('toString is not set');
  });

  it('keeps comments, order and quoting of everything else', async () => {
    const { run, write, read } = await makeSandbox();
    await write('config/config.toml', "# mine\nversion = 'v1alpha6'\n\n[env] # variables\nA = 'one'   # first\nB = \"two\"\n\n# logins\n[kimi]\nauth_forward = 'sync'\n");
    await run(['config', 'env', 'set', 'B', 'three']);
    await run(['config', 'env', 'set', 'C', 'four']);
    await run(['config', 'auth', 'set', 'ignore', '--agent', 'kimi']);
    expect(await read('config/config.toml')).toBe(
      "# mine\nversion = 'v1alpha6'\n\n[env] # variables\nA = 'one'   # first\nB = \"three\"\nC = \"four\"\n\n# logins\n[kimi]\nauth_forward = 'ignore'\n",
    );
  });

  it('of twenty writers at once loses none', async () => {
    const { run } = await makeSandbox();
    const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => run(['config', 'env', 'set', `V${n}`, 'x'])));
    expect(runs.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, () => 0));
    expect(dataOf(await run(['config', 'env', 'list', '--format', 'json'])).variables).toHaveLength(20);
  });
});

describe('workspace env', () => {
  it('sets, lists and removes variables of one workspace', async () => {
    const { run, read, config } = await withWorkspace();
    await run(['workspace', 'env', 'set', 'app', 'TOKEN', 'sk-canary']);
    await run(['workspace', 'env', 'set', 'app', 'TOKEN', 'op://Work/x/y', '--role', 'neo']);
    expect(await read('config/workspaces/app.toml')).toMatch(/\n\[env\]\nTOKEN = "sk-canary"\n\n\[roles\.neo\.env\]\nTOKEN = "op:\/\/Work\/x\/y"\n$/);
    expect((await run(['workspace', 'env', 'list', 'app'])).stdout).toBe('TOKEN  ********\n');
    expect((await run(['workspace', 'env', 'list', 'app', '--role', 'neo'])).stdout).toBe('TOKEN  op://Work/x/y\n');
    expect((await run(['workspace', 'env', 'unset', 'app', 'TOKEN'])).stdout).toBe(`removed TOKEN (${config}/workspaces/app.toml)\n`);
    expect((await run(['workspace', 'env', 'unset', 'app', 'TOKEN'])).stdout).toContain('TOKEN is not set');
  });

  it('names the nearest workspace for one that there is not', async () => {
    const { run } = await withWorkspace();
    for (const words of [['set', 'ap', 'A', 'x'], ['unset', 'ap', 'A'], ['list', 'ap']]) {
      const { code, stderr } = await run(['workspace', 'env', ...words]);
      expect(code).toBe(7);
      expect(stderr).toMatch(/no workspace "ap"[\s\S]*did you mean "app"\?/);
    }
  });
});

describe('config auth set', () => {
  it('sets the mode of every agent, or of one', async () => {
    const { run, read } = await makeSandbox();
    expect((await run(['config', 'auth', 'set', 'ignore'])).stdout).toContain('claude, codex, amp, kimi, opencode: ignore everywhere');
    await run(['config', 'auth', 'set', 'oauth_token', '--agent', 'claude']);
    const text = await read('config/config.toml');
    expect(text).toContain('[claude]\nauth_forward = "oauth_token"\n');
    expect(text).toContain('[kimi]\nauth_forward = "ignore"\n');
  });

  it('sets it for a workspace, or for a role in it, with a source directory', async () => {
    const { run, read, project } = await withWorkspace();
    await run(['config', 'auth', 'set', 'sync', '--agent', 'kimi', '--workspace', 'app', '--source-dir', '~/work']);
    await run(['config', 'auth', 'set', 'sync', '--agent', 'codex', '--workspace', 'app', '--role', 'neo', '--source-dir', 'logins']);
    const text = await read('config/workspaces/app.toml');
    expect(text).toContain('[kimi]\nauth_forward = "sync"\nsync_source_dir = "~/work"\n');
    expect(text).toContain(`[roles.neo.codex]\nauth_forward = "sync"\nsync_source_dir = "${project}/logins"\n`);
  });

  it('sets a login of jackin’s own, which takes the source directory out of its table, and the other way round', async () => {
    const { run, read } = await withWorkspace();
    const set = (...words: string[]) => run(['config', 'auth', 'set', 'sync', '--agent', 'kimi', '--workspace', 'app', ...words]);
    await set('--source-dir', '~/work');
    expect((await set('--login', 'kimi:work')).stdout).toContain('kimi: sync with the login work in workspace app (');
    expect(await read('config/workspaces/app.toml')).toMatch(/\[kimi\]\nauth_forward = "sync"\nlogin = "work"\n(?!sync_source_dir)/);
    expect(await read('config/workspaces/app.toml')).not.toContain('sync_source_dir');
    await set('--role', 'neo', '--login', 'home');
    expect(await read('config/workspaces/app.toml')).toContain('[roles.neo.kimi]\nauth_forward = "sync"\nlogin = "home"\n');
    await set('--source-dir', '~/work');
    expect(await read('config/workspaces/app.toml')).toContain('[kimi]\nauth_forward = "sync"\nsync_source_dir = "~/work"\n');
    expect((await run(['config', 'validate'])).code).toBe(0);
  });

  it.each([
    ['a login for another agent', ['sync', '--agent', 'codex', '--login', 'work'], /--login needs --agent kimi/],
    ['a login with a mode that uses none', ['ignore', '--agent', 'kimi', '--login', 'work'], /--login is for sync/],
    ['a login and a source directory', ['sync', '--agent', 'kimi', '--login', 'work', '--source-dir', '/x'], /exclude each other/],
    ['what is no name of a login', ['sync', '--agent', 'kimi', '--login', '../x'], /kimi:<account>/],
    ['a mode that only Claude has', ['oauth_token'], /not a mode of codex, amp, kimi, opencode\n.*--agent claude/],
    ['a mode that the agent has not', ['oauth_token', '--agent', 'kimi'], /not a mode of kimi\n.*sync, api_key, ignore/],
    ['a role without a workspace', ['sync', '--role', 'neo'], /--role needs --workspace/],
    ['a source directory for all', ['sync', '--source-dir', '/x'], /--source-dir needs --agent/],
    ['a mode that there is not', ['snyc'], /Allowed choices are sync/],
  ])('refuses %s', async (_what, words, message) => {
    const { run, config } = await makeSandbox();
    const { code, stderr } = await run(['config', 'auth', 'set', ...words]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(await readdir(config)).toEqual([]);
  });
});

describe('config mount', () => {
  it('adds, lists and removes mounts, with a scope or without', async () => {
    const { run, read, project } = await makeSandbox();
    await run(['config', 'mount', 'add', 'cache', '--src', project, '--dst', '/cache', '--readonly']);
    await run(['config', 'mount', 'add', 'secrets', '--src', '~', '--dst', '/secrets', '--scope', 'chainargos/*']);
    expect(await read('config/config.toml')).toContain(`cache = { src = "${project}", dst = "/cache", readonly = true }`);
    const { stdout } = await run(['config', 'mount', 'list']);
    expect(stdout).toMatch(/^cache +every role +.*\/project +\/cache +read-only$/m);
    expect(stdout).toMatch(/^secrets +chainargos\/\* +~ +\/secrets +writable$/m);
    expect(dataOf(await run(['config', 'mount', 'list', '--scope', 'chainargos/*', '--format', 'json'])).mounts).toEqual([{ scope: 'chainargos/*', name: 'secrets', src: '~', dst: '/secrets', readonly: false }]);
    expect((await run(['config', 'mount', 'remove', 'secrets', '--scope', 'chainargos/*'])).code).toBe(0);
    expect((await run(['config', 'mount', 'remove', 'cache'])).code).toBe(0);
    expect(await read('config/config.toml')).toBe(SCHEMA_LINE);
  });

  it('refuses what load would refuse, a name that is taken, and one that is not there', async () => {
    const { run, project } = await makeSandbox();
    const add = (...words: string[]) => run(['config', 'mount', 'add', ...words]);
    expect(await add('x', '--src', '/no/such', '--dst', '/x')).toMatchObject({ code: 7, stderr: expect.stringContaining('mount source /no/such does not exist') });
    expect(await add('x', '--src', project, '--dst', 'relative')).toMatchObject({ code: 2, stderr: expect.stringContaining('--dst relative') });
    expect(await add('a b', '--src', project, '--dst', '/x')).toMatchObject({ code: 2 });
    expect(await add('x', '--src', project)).toMatchObject({ code: 2, stderr: expect.stringContaining('--dst') });
    await add('x', '--src', project, '--dst', '/x');
    await add('y', '--src', project, '--dst', '/y', '--scope', 'neo');
    expect(await add('x', '--src', project, '--dst', '/z')).toMatchObject({ code: 8, stderr: expect.stringContaining('there is a mount "x" already') });
    expect(await add('neo', '--src', project, '--dst', '/z')).toMatchObject({ code: 8, stderr: expect.stringContaining('"neo" is a scope') });
    expect(await add('y', '--src', project, '--dst', '/z', '--scope', 'x')).toMatchObject({ code: 8, stderr: expect.stringContaining('"x" is the name of a mount') });
    expect(await run(['config', 'mount', 'remove', 'y'])).toMatchObject({ code: 7, stderr: expect.stringContaining("--scope 'neo'") });
    expect(await run(['config', 'mount', 'remove', 'xx'])).toMatchObject({ code: 7, stderr: expect.stringContaining('did you mean "x"?') });
  });
});

describe('config git', () => {
  it('switches trailers on and off; what is off is not written', async () => {
    const { run, read } = await makeSandbox();
    await run(['config', 'git', 'dco', 'enable']);
    await run(['config', 'git', 'coauthor-trailer', 'enable']);
    expect(await read('config/config.toml')).toBe(`${SCHEMA_LINE}\n[git]\ndco = true\ncoauthor_trailer = true\n`);
    await run(['config', 'git', 'dco', 'disable']);
    expect(await read('config/config.toml')).toBe(`${SCHEMA_LINE}\n[git]\ncoauthor_trailer = true\n`);
    await run(['config', 'git', 'coauthor-trailer', 'disable']);
    expect(await read('config/config.toml')).toBe(SCHEMA_LINE);
    expect(dataOf(await run(['config', 'git', 'dco', 'disable', '--format', 'json']))).toMatchObject({ setting: 'git.dco', value: false, changed: false });
    expect((await run(['config', 'git', 'dco', 'on'])).code).toBe(2);
  });
});

describe('config trust', () => {
  it('grants, lists and revokes', async () => {
    const { run, read, write } = await makeSandbox();
    await write('config/config.toml', 'version = "v1alpha6"\n\n[roles.neo]\ngit = "https://example.test/neo.git"\n');
    await run(['config', 'trust', 'grant', 'neo']);
    expect(await read('config/config.toml')).toContain('git = "https://example.test/neo.git"\ntrusted = true\n');
    const { roles } = dataOf(await run(['config', 'trust', 'list', '--format', 'json']));
    expect(roles).toMatchObject([{ role: 'agent-smith', trusted: true, by: 'part of jackin' }, { role: 'neo', trusted: true, git: 'https://example.test/neo.git' }]);
    await run(['config', 'trust', 'revoke', 'neo']);
    expect((await run(['config', 'trust', 'list'])).stdout).toMatch(/^neo +no +/m);
    expect((await run(['config', 'trust', 'revoke', 'neo'])).stdout).toContain('neo is not trusted, as before');
  });

  it('refuses a name that is none, and a role that is part of jackin', async () => {
    const { run } = await makeSandbox();
    expect(await run(['config', 'trust', 'grant', '../x'])).toMatchObject({ code: 2, stderr: expect.stringContaining('A role is a name') });
    expect(await run(['config', 'trust', 'revoke', 'agent-smith'])).toMatchObject({ code: 2, stderr: expect.stringContaining('built in') });
  });
});

describe('a change that cannot be made', () => {
  it('of a file that is not valid says what is wrong, and leaves it', async () => {
    const { run, write, read, config } = await makeSandbox();
    await write('config/config.toml', '[kimi]\nauth_forwad = "sync"\n');
    const { code, stderr } = await run(['config', 'env', 'set', 'A', 'x']);
    expect(code).toBe(3);
    expect(stderr).toContain(`${config}/config.toml:2:1`);
    expect(await read('config/config.toml')).toBe('[kimi]\nauth_forwad = "sync"\n');
  });

  it('in a place where nothing can be written is told', async () => {
    const { run, write } = await makeSandbox();
    const blocked = await write('blocked', 'a file in the way');
    const { code, stderr } = await run(['config', 'env', 'set', 'A', 'sk-canary'], { env: { JACKIN_CONFIG_DIR: `${blocked}/config` } });
    expect(code).not.toBe(0);
    expect(stderr).toContain(blocked);
    expect(stderr).not.toMatch(/unexpected|canary/);
  });

  it('works beside the lock of a dead process', async () => {
    const { run, write } = await makeSandbox();
    await write('config/config.lock', JSON.stringify({ pid: 999_999_999, started: '1', boot: 'another' }));
    expect((await run(['config', 'env', 'set', 'A', 'x'])).code).toBe(0);
  });
});
