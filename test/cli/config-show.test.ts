import { describe, expect, it } from 'vitest';
import { makeSandbox } from './run.ts';

const GLOBAL = `version = "v1alpha6"

[kimi]
auth_forward = "api_key"

[env]
TOKEN = "canary-literal"
FROM_HOST = "$HOST"

[roles.agent-smith]
trusted = true

[roles.agent-smith.env]
TOKEN = "op://Personal/api/token"

[docker.mounts]
cache = { src = "/a", dst = "/cache", readonly = true }
`;

const withConfig = async () => {
  const sandbox = await makeSandbox();
  await sandbox.write('config/config.toml', GLOBAL);
  await sandbox.write(
    'config/workspaces/app.toml',
    `version = "v1alpha6"
workdir = "${sandbox.project}"
default_role = "agent-smith"

[[mounts]]
src = "${sandbox.project}"
dst = "${sandbox.project}"

[kimi]
auth_forward = "ignore"

[roles.agent-smith.kimi]
sync_source_dir = "~/kimi-smith"

[github.env]
GH_TOKEN = "canary-github"
`,
  );
  return sandbox;
};

const dataOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout).data;

describe('config show', () => {
  it('prints what a launch here would use, and who decided it', async () => {
    const { run, config } = await withConfig();
    const { code, stdout } = await run(['config', 'show']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^workspace +app$/m);
    expect(stdout).toMatch(/^role +agent-smith$/m);
    expect(stdout).toContain(`${config}/config.toml (v1alpha6), ${config}/workspaces/app.toml (v1alpha6)`);
    expect(stdout).toContain(`workspace (${config}/workspaces/app.toml:10)`);
    expect(stdout).toMatch(/^kimi\.auth_forward +"ignore" /m);
    expect(stdout).toMatch(/^kimi\.sync_source_dir +".*\/home\/kimi-smith" +workspace × role/m);
    expect(stdout).toMatch(/^env\.TOKEN +op:\/\/Personal\/api\/token +role/m);
    expect(stdout).toMatch(/^mounts\.\/cache +"\/a" read-only, shared +global/m);
    expect(stdout).toMatch(/^git\.dco +false +default$/m);
  });

  it('has every setting of the norm in its JSON', async () => {
    const { run } = await withConfig();
    const { settings, workspace, role } = dataOf(await run(['config', 'show', '--format', 'json']));
    expect([workspace, role]).toEqual(['app', 'agent-smith']);
    const agents = ['claude', 'codex', 'amp', 'kimi', 'opencode'];
    const keys = settings.map(({ key }: { key: string }) => key);
    expect(keys).toEqual(
      expect.arrayContaining([
        'workdir', 'allowed_roles', 'default_role', 'default_agent', 'last_role', 'git_pull_on_entry', 'keep_awake.enabled',
        'github.auth_forward', 'git.coauthor_trailer', 'git.dco', 'roles.agent-smith.git', 'roles.agent-smith.trusted',
        ...agents.flatMap((slug) => [`${slug}.auth_forward`, `${slug}.sync_source_dir`, `agents.${slug}.version`]),
      ]),
    ); // prettier-ignore
    expect(settings.find(({ key }: { key: string }) => key === 'kimi.auth_forward')).toMatchObject({ value: 'ignore', layer: 'workspace', line: 10 });
  });

  it('shows the defaults where there is no configuration, and writes none', async () => {
    const { run, project } = await makeSandbox();
    const { code, stdout } = await run(['config', 'show']);
    expect(code).toBe(0);
    expect(stdout).toContain(`none is saved for ${project}`);
    expect(stdout).toContain('none: the defaults apply');
    expect((await run(['config', 'validate'])).stdout).toContain('there are no configuration files');
  });

  it('is about the role that is named', async () => {
    const { run } = await withConfig();
    const { settings } = dataOf(await run(['config', 'show', '--role', 'other', '--format', 'json']));
    expect(settings.find(({ key }: { key: string }) => key === 'env.TOKEN')).toMatchObject({ layer: 'global', value: { kind: 'literal', value: null } });
    expect((await run(['config', 'show', '--role', 'Not A Role'])).code).toBe(2);
  });
});

describe('config explain', () => {
  it('prints the chain of a setting, the winner marked', async () => {
    const { run, config } = await withConfig();
    expect((await run(['config', 'explain', 'kimi.auth_forward'])).stdout).toBe(
      `kimi.auth_forward = "ignore"
     workspace × role             not set  ${config}/workspaces/app.toml
  >  workspace         "ignore"   decided  ${config}/workspaces/app.toml:10
     global            "api_key"  beaten   ${config}/config.toml:4
     default           "sync"     beaten
`,
    );
  });

  it('prints all of them without a key, and the same as JSON', async () => {
    const { run } = await withConfig();
    const { stdout } = await run(['config', 'explain']);
    expect(stdout).toMatch(/^role = "agent-smith"$/m);
    expect(stdout).toMatch(/^agent: not set$/m);
    const { settings } = dataOf(await run(['config', 'explain', 'env.TOKEN', '--format', 'json']));
    expect(settings).toMatchObject([
      {
        key: 'env.TOKEN',
        layer: 'role',
        chain: [
          { layer: 'workspace × role', verdict: 'not set' },
          { layer: 'workspace', verdict: 'not set' },
          { layer: 'role', verdict: 'decided', value: { kind: 'op', value: 'op://Personal/api/token' } },
          { layer: 'global', verdict: 'beaten', value: { kind: 'literal', value: null } },
        ],
      },
    ]);
  });

  it('takes a workspace, a role and an agent', async () => {
    const { run, root } = await withConfig();
    const elsewhere = { cwd: root };
    expect((await run(['config', 'explain', 'kimi.auth_forward'], elsewhere)).stdout).toContain('= "api_key"');
    const named = await run(['config', 'explain', 'auth_forward', '--workspace', 'app', '--role', 'neo', '--agent', 'kimi'], elsewhere);
    expect(named.stdout).toContain('kimi.auth_forward = "ignore"');
    const { settings } = dataOf(await run(['config', 'explain', 'agent', '--agent', 'kimi', '--format', 'json']));
    expect(settings[0]).toMatchObject({ value: 'kimi', layer: 'command line' });
  });

  it('names the nearest setting for one that there is not, and the nearest workspace', async () => {
    const { run } = await withConfig();
    const typo = await run(['config', 'explain', 'kimi.auth_forwad']);
    expect(typo.code).toBe(7);
    expect(typo.stderr).toMatch(/no setting "kimi\.auth_forwad"\n.*did you mean "kimi\.auth_forward"/);
    const workspace = await run(['config', 'explain', '--workspace', 'ap']);
    expect(workspace.code).toBe(7);
    expect(workspace.stderr).toContain('did you mean "app"?');
  });

  it('brings an invalid file to light instead of explaining half of it', async () => {
    const { run, write, config } = await withConfig();
    await write('config/config.toml', '[kimi]\nauth_forwad = "sync"\n');
    const { code, stderr, stdout } = await run(['config', 'explain', 'kimi']);
    expect(code).toBe(3);
    expect(stderr).toContain(`${config}/config.toml:2:1`);
    expect(stdout).toBe('');
  });
});

describe('config auth show', () => {
  it('prints mode, source directory and who decided each', async () => {
    const { run, config } = await withConfig();
    const { stdout } = await run(['config', 'auth', 'show']);
    expect(stdout).toMatch(/^claude +sync +default +the agent’s own$/m);
    expect(stdout).toMatch(/^kimi +ignore +workspace \(.*app\.toml:10\) +.*\/kimi-smith, by workspace × role/m);
    expect(stdout).toMatch(/^github +sync +default$/m);
    const { agents } = dataOf(await run(['config', 'auth', 'show', '--role', 'neo', '--format', 'json']));
    expect(agents).toContainEqual({
      agent: 'kimi',
      mode: { value: 'ignore', layer: 'workspace', file: `${config}/workspaces/app.toml`, line: 10 },
      source_dir: { value: null, layer: 'default', file: null, line: null },
      login: { value: null, layer: 'default', file: null, line: null },
    });
  });
});

describe('what is never printed', () => {
  it.each([
    ['config', 'show'],
    ['config', 'explain'],
    ['config', 'explain', 'env'],
    ['config', 'auth', 'show'],
    ['config', 'env', 'list'],
    ['workspace', 'show', 'app'],
    ['workspace', 'list'],
    ['workspace', 'env', 'list', 'app'],
  ])('a literal of a variable, by %s %s %s', async (...words) => {
    const { run } = await withConfig();
    for (const format of ['human', 'json']) {
      const { code, stdout, stderr } = await run([...words.filter(Boolean), '--format', format]);
      expect(code).toBe(0);
      expect(stdout + stderr).not.toContain('canary');
    }
  });

  it('control characters of a file', async () => {
    const { run, write, project } = await makeSandbox();
    await write('config/workspaces/app.toml', `workdir = "/app"\nmounts = [{ src = "/x\\u001b[2J\\u009b\\nforged", dst = "/app" }, { src = "${project}", dst = "/p" }]\n`);
    for (const words of [['workspace', 'show', 'app'], ['config', 'show'], ['config', 'explain', 'mounts']]) {
      const { code, stdout } = await run(words);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/[^\P{Cc}\n]/u);
      expect(stdout).not.toMatch(/^ *forged/m);
    }
  });
});
