import { describe, expect, it } from 'vitest';
import { isProblem, parseDocument } from '../../../src/config/document.ts';
import { configError } from '../../../src/config/problems.ts';
import { ConfigSchema, WorkspaceSchema } from '../../../src/config/schema.ts';
import { validateDocument } from '../../../src/config/validate.ts';

const problemsOf = (text: string, schema: typeof ConfigSchema | typeof WorkspaceSchema = ConfigSchema): string[] => {
  const document = parseDocument('/c/config.toml', text);
  if (isProblem(document)) return [`${document.line}:${document.column} ${document.message}`];
  const result = validateDocument<unknown>(schema, document);
  return result.ok ? [] : result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
};

describe('problems of config.toml', () => {
  it('accepts an empty file and every block of the agents', () => {
    expect(problemsOf('')).toEqual([]);
    const blocks = ['claude', 'codex', 'amp', 'kimi', 'opencode'].map((slug) => `[${slug}]\nauth_forward = "api_key"\nsync_source_dir = "~/x"\n`);
    expect(problemsOf(`version = "v1alpha6"\n${blocks.join('')}`)).toEqual([]);
  });

  it('names an unknown key, where it stands, and the nearest known one', () => {
    expect(problemsOf('verion = "v1alpha6"\n')).toEqual(['1:1 unknown key "verion"; did you mean "version"?']);
    expect(problemsOf('[kimi]\n  auth-forward = "sync"\n')).toEqual(['2:3 unknown key "auth-forward" in [kimi]; did you mean "auth_forward"?']);
    expect(problemsOf('[roles.agent-smith]\nkimi = 1\n')).toEqual(['2:1 "kimi" is a key of the top of the file, but it stands below a header and so belongs to [roles.agent-smith]: move line 2 above line 1']);
  });

  it('refuses oauth_token for every agent but Claude, when the file is parsed', () => {
    expect(problemsOf('[claude]\nauth_forward = "oauth_token"\n')).toEqual([]);
    for (const slug of ['codex', 'amp', 'kimi', 'opencode']) {
      expect(problemsOf(`[${slug}]\nauth_forward = "oauth_token"\n`)[0]).toContain(`2:1 ${slug}.auth_forward: auth_forward "oauth_token" is not supported for ${slug}`);
    }
  });

  it('refuses a relative source directory with the reason', () => {
    expect(problemsOf('[kimi]\nsync_source_dir = "logins/kimi"\n')[0]).toMatch(/^2:1 .*absolute path.*depend on where jackin is run/);
  });

  it('refuses a login of jackin’s own beside a source directory, under a bad name, and for another agent', () => {
    expect(problemsOf('[kimi]\nlogin = "work"\n')).toEqual([]);
    expect(problemsOf('[kimi]\nsync_source_dir = "/srv/kimi"\nlogin = "work"\n')).toEqual([expect.stringMatching(/^3:1 kimi\.login: login and sync_source_dir exclude each other/)]);
    for (const name of ['../up', 'Work', '', 'a/b', 'a..b', '.', '-x', 'x'.repeat(65)]) expect(problemsOf(`[kimi]\nlogin = "${name}"\n`)).toEqual([expect.stringMatching(/^2:1 kimi\.login: expected the name of a login/)]);
    expect(problemsOf('[codex]\nlogin = "work"\n')).toEqual([expect.stringMatching(/^2:1 unknown key "login" in \[codex\]/)]);
    const workspace = 'workdir = "/w"\nmounts = [{ src = "/w", dst = "/w" }]\n[roles.neo.kimi]\nlogin = "work"\nsync_source_dir = "~/x"\n';
    expect(problemsOf(workspace, WorkspaceSchema)).toEqual([expect.stringMatching(/^4:1 roles\.neo\.kimi\.login: .* exclude each other/)]);
  });

  it('refuses reserved and impossible names of variables', () => {
    expect(problemsOf('[env]\nJACKIN_ROLE = "x"\n')).toEqual(['2:1 env.JACKIN_ROLE: JACKIN_ROLE is reserved: jackin sets it itself']);
    expect(problemsOf('[env]\n"A=B" = "x"\n')[0]).toContain('not a name for an environment variable');
    expect(problemsOf('[roles.agent-smith.env]\nLD_PRELOAD = "x"\n')[0]).toContain('LD_PRELOAD is reserved');
  });

  it('takes global mounts by name and by scope, and refuses isolation there', () => {
    const mount = '{ src = "/a", dst = "/b", readonly = true }';
    expect(problemsOf(`[docker.mounts]\ncache = ${mount}\n[docker.mounts."chainargos/*"]\nsecrets = ${mount}\n`)).toEqual([]);
    expect(problemsOf('[docker.mounts]\ncache = { src = "/a", dst = "/b", isolation = "clone" }\n')[0]).toContain('a global mount has no isolation');
    expect(problemsOf('[docker.mounts.cache]\nsrc = "/a"\ndst = "/b"\nread_only = true\n')).toEqual([
      '4:1 unknown key "read_only" in [docker.mounts.cache]; did you mean "readonly"?',
    ]);
    expect(problemsOf('[docker.mounts]\ncache = { src = "a", dst = "/b" }\n')[0]).toMatch(/^2:11 docker\.mounts\.cache\.src: expected an absolute path/);
  });

  it('takes the sources of roles, and no URL that runs a program or holds a login', () => {
    const role = (git: string) => problemsOf(`[roles.x]\ngit = "${git}"\ntrusted = true\n`);
    for (const url of ['https://host/a/b.git', 'git@host:a/b.git', 'ssh://git@host/a/b', '/srv/roles/x']) expect(role(url)).toEqual([]);
    for (const url of ['ext::sh -c x', '-u./x', 'file:///x', 'https://me:pw@host/x', 'git://host/x', '']) expect(role(url)).toHaveLength(1);
  });

  it('refuses reserved names in [github.env] too', () => {
    expect(problemsOf('[github.env]\nDOCKER_HOST = "x"\n')[0]).toContain('DOCKER_HOST is reserved');
  });

  it('refuses a version that it does not know', () => {
    expect(problemsOf('version = "v2"\n')[0]).toMatch(/^1:1 version: version "v2" is not one that this jackin understands.*update jackin/);
  });

  it('reports every problem, in the order of the text', () => {
    expect(problemsOf('[env]\nA = 1\n[kimi]\nauth_forward = "snyc"\nx = 1\n').map((line) => line.split(' ')[0])).toEqual(['2:1', '4:1', '5:1']);
  });

  it('places errors of syntax, duplicates and dotted keys', () => {
    expect(problemsOf('a = [1,\nb = 2\n')[0]).toMatch(/^2:\d+ not valid TOML/);
    expect(problemsOf('[kimi]\n[kimi]\n')[0]).toMatch(/^2:\d+ not valid TOML/);
    expect(problemsOf('kimi.auth_forwad = "sync"\n')).toEqual(['1:6 unknown key "auth_forwad" in [kimi]; did you mean "auth_forward"?']);
  });

  it('is not fooled by names of the prototype, and gives up on absurd nesting', () => {
    expect(problemsOf('__proto__ = 1\nconstructor = 2\n').map((line) => line.slice(0, 3))).toEqual(['1:1', '2:1']);
    expect(problemsOf('[__proto__]\nversion = "x"\n')).toHaveLength(1);
    expect(problemsOf(`a = ${'['.repeat(9000)}`)[0]).toMatch(/^1:1 |not valid TOML/);
    expect(problemsOf(`a = ${'['.repeat(100_000)}`)).toEqual(['1:10004 more than 10000 keys, tables and values in one file']);
  });
});

describe('problems of a workspace file', () => {
  const workspace = (extra: string, top = '') => problemsOf(`workdir = "/app"\n${top}[[mounts]]\nsrc = "/host/app"\ndst = "/app"\n${extra}`, WorkspaceSchema);

  it('accepts the smallest one', () => {
    expect(workspace('')).toEqual([]);
  });

  it('needs workdir and a mount', () => {
    expect(problemsOf('', WorkspaceSchema)).toEqual(['1:1 workdir: missing, expected string', '1:1 mounts: missing, expected array']);
    expect(problemsOf('workdir = "/a"\nmounts = []\n', WorkspaceSchema)[0]).toContain('at least one mount');
  });

  it('says which line to move when a key slid below a header', () => {
    expect(problemsOf('[[mounts]]\nsrc = "/a"\ndst = "/a"\n\n[kimi]\nauth_forward = "sync"\nworkdir = "/a"\n', WorkspaceSchema)).toContain(
      '7:1 "workdir" is a key of the top of the file, but it stands below a header and so belongs to [kimi]: move line 7 above line 1',
    );
  });

  it('refuses two mounts on one destination, whatever the trailing slash', () => {
    expect(workspace('[[mounts]]\nsrc = "/b"\ndst = "/app/"\n')).toEqual([
      '7:1 mounts.1.dst: two mounts on one destination: /app/ is already the destination of mount 1',
    ]);
  });

  it('refuses a workdir outside of every mount, and takes one inside or above', () => {
    const at = (workdir: string) => problemsOf(`workdir = "${workdir}"\n[[mounts]]\nsrc = "/a"\ndst = "/app/src"\n`, WorkspaceSchema);
    expect(at('/other')[0]).toMatch(/^1:1 workdir: workdir is outside every mount/);
    expect(at('/app/sr')[0]).toContain('outside every mount');
    expect(at('/app/src/deep')).toEqual([]);
    expect(at('/app')).toEqual([]);
  });

  it('refuses a destination with dots and an isolation that there is not', () => {
    expect(problemsOf('workdir = "/a"\n[[mounts]]\nsrc = "/a"\ndst = "/a/../etc"\n', WorkspaceSchema)[0]).toContain('without "." or ".."');
    expect(workspace('isolation = "worktree"\n')).toEqual([]);
    expect(workspace('isolation = "overlay"\n')[0]).toContain('expected one of "shared", "worktree", "clone"');
  });

  it('takes everything that the norm lists, and says what is wrong with its own example', () => {
    const table = 'allowed_roles = ["agent-smith"]\ndefault_role = "agent-smith"\ndefault_agent = "amp"\nlast_role = "agent-smith"\ngit_pull_on_entry = true\n';
    const after = 'isolation = "clone"\n[keep_awake]\nenabled = true\n[github]\nauth_forward = "token"\n[github.env]\nGH_TOKEN = { op = "op://a/b/c", path = "x" }\n[roles.agent-smith.github]\nauth_forward = "ignore"\n';
    expect(workspace(after, table)).toEqual([]);
    expect(workspace('[keep_awake]\nenabled = true\n\ngit_pull_on_entry = true\n')).toEqual([
      '8:1 "git_pull_on_entry" is a key of the top of the file, but it stands below a header and so belongs to [keep_awake]: move line 8 above line 2',
    ]);
  });

  it('refuses a default role that is not allowed', () => {
    expect(workspace('', 'allowed_roles = ["a"]\ndefault_role = "b"\n')).toEqual(['3:1 default_role: default_role "b" is not in allowed_roles']);
  });
});

describe('what is shown of a line', () => {
  const shown = (text: string): string => {
    const document = parseDocument('/c/config.toml', text);
    if (isProblem(document)) return configError([document]).message;
    const result = validateDocument(ConfigSchema, document);
    return result.ok ? '' : configError(result.problems).message;
  };

  it('shows the line with a caret below the key', () => {
    expect(shown('[kimi]\n  auth_forward = "snyc"\n')).toContain('\n      auth_forward = "snyc"\n      ^');
  });

  it('never shows a value that may be a secret', () => {
    expect(shown('[env]\nKEY = ["sk-canary"]\n')).not.toContain('canary');
    expect(shown('KIMI_API_KEY = "sk-canary"\n')).not.toContain('canary');
    expect(shown('[kimi]\nKIMI_API_KEY = "sk-canary"\n')).not.toContain('canary');
    expect(shown('[env]\nKEY = """\nsk-canary\u0000\n"""\n')).not.toContain('canary');
    expect(shown(`${'k'.repeat(100_000)} = 1\n`).length).toBeLessThan(1000);
    expect(shown('[env]\nKEY = "sk-canary\n')).not.toContain('canary');
    expect(shown('[env]\n"BAD-NAME" = "sk-canary"\n')).not.toContain('canary');
  });

  it('lets no control characters through', () => {
    expect(shown('"\\u001b[2Jx" = 1\n')).not.toContain('\u001b');
  });
});
