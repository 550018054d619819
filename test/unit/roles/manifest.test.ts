import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../../src/roles/manifest.ts';

const parse = (text: string) => parseManifest('/role/jackin.role.toml', `version = "v1alpha6"\ndockerfile = "Dockerfile"\n${text}`);

describe('jackin.role.toml', () => {
  it('lists agents and their models', () => {
    expect(parse('agents = ["kimi", "codex"]\n[kimi]\nmodel = "kimi-k2"\n[codex]\n')).toEqual({
      name: undefined,
      dockerfile: 'Dockerfile',
      agents: ['kimi', 'codex'],
      models: { kimi: 'kimi-k2' },
      env: [],
      hooks: [],
    });
  });

  it('says which variables the role needs, and where', () => {
    const [entry, ...more] = parse('[claude]\n[env.REGION]\ndefault = "$NOT_EXPANDED"\n').env;
    expect(entry).toEqual({
      name: 'REGION',
      source: { kind: 'literal', value: '$NOT_EXPANDED' },
      origin: { layer: 'role manifest', file: '/role/jackin.role.toml', line: 5 },
      beaten: [],
    });
    expect(more).toEqual([]);
  });

  it('is for Claude alone without a list', () => {
    expect(parse('[claude]\n').agents).toEqual(['claude']);
  });

  it('needs the table of every agent that it lists', () => {
    expect(() => parse('agents = ["kimi"]\n')).toThrow(/jackin\.role\.toml:3:1: agents: the agent kimi needs its table: add \[kimi\]/);
  });

  it.each([
    ['an unknown key', 'dockerfle = "x"\n', /unknown key "dockerfle"; did you mean "dockerfile"/],
    ['auth', 'agents = ["kimi"]\n[kimi]\nauth_forward = "ignore"\n', /unknown key "auth_forward" in \[kimi\]/],
    ['github', '[claude]\n[github]\n', /unknown key "github"/],
    ['a key of an agent', '[claude]\n[env.KIMI_API_KEY]\ndefault = "x"\n', /jackin\.role\.toml:4[\s\S]*keys come from the operator/],
    ['a token for GitHub', '[claude]\n[env.GH_TOKEN]\ndefault = "x"\n', /keys come from the operator/],
    ['a name that jackin sets', '[claude]\n[env.JACKIN_ROLE]\ndefault = "x"\n', /JACKIN_ROLE is reserved/],
    ['a variable without a value', '[claude]\n[env.X]\n', /env\.X\.default/],
    ['a model that is a flag', 'agents = ["kimi"]\n[kimi]\nmodel = "--auto"\n', /expected a model name/],
    ['an agent that there is not', 'agents = ["grok"]\n', /expected one of "claude"/],
  ])('refuses %s', (_what, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it('names its hooks in the order in which they run', () => {
    const { hooks } = parse('[claude]\n[hooks]\npreflight = "p.sh"\nsource = "hooks/env"\nsetup_once = "./a@b+c_d"\n');
    expect(hooks.map(({ name, file }) => [name, file])).toEqual([['setup_once', './a@b+c_d'], ['source', 'hooks/env'], ['preflight', 'p.sh']]);
  });

  it.each([
    ['an unknown hook', 'setup = "a"', /jackin\.role\.toml:5:1: unknown key "setup" in \[hooks\]/],
    ['an absolute path', 'source = "/etc/profile"', /jackin\.role\.toml:5:1: hooks\.source: expected a relative path inside the role/],
    ['a path out of the role', 'preflight = "a/../../b"', /hooks\.preflight: expected a relative path inside the role/],
    ['no path', 'preflight = ""', /expected a relative path inside the role/],
    ['a file of git', 'preflight = "./.git/config"', /not one of git/],
    ['a pattern', 'preflight = "a*"', /expected a path of letters/],
    ['a variable', 'preflight = "$HOME/a"', /expected a path of letters/],
    ['a line break', 'preflight = "a\\nRUN b"', /expected a path of letters/],
    ['a flag', 'preflight = "--from=x"', /expected a path of letters/],
  ])('refuses as a hook %s', (_what, line, message) => {
    expect(() => parse(`[claude]\n[hooks]\n${line}\n`)).toThrow(message);
  });

  it.each(['/etc/passwd', '../Dockerfile', 'a/../../b', ''])('keeps the Dockerfile inside the role: %j', (dockerfile) => {
    expect(() => parseManifest('/r', `version = "v1alpha6"\ndockerfile = ${JSON.stringify(dockerfile)}\n[claude]\n`)).toThrow(/relative path inside the role/);
  });
});
