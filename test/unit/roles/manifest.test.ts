import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../../src/roles/manifest.ts';
import { JackinError } from '../../../src/shared/errors.ts';

const parse = (text: string) => parseManifest('/role/jackin.role.toml', `version = "v1alpha6"\ndockerfile = "Dockerfile"\n${text}`);

describe('jackin.role.toml', () => {
  it('lists agents and their models', () => {
    expect(parse('agents = ["kimi", "codex"]\n[kimi]\nmodel = "kimi-k2"\n[codex]\n')).toEqual({
      name: undefined,
      dockerfile: 'Dockerfile',
      publishedImage: undefined,
      agents: ['kimi', 'codex'],
      models: { kimi: 'kimi-k2' },
      env: [],
      hooks: [],
      files: [{ file: 'Dockerfile', problem: expect.any(Function) }],
      notes: [],
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

  it('is refused for a table in the place of a list that says how long it is', () => {
    expect(() => parse('[claude]\n[agents.length]\n')).toThrow(/jackin\.role\.toml:4:\d+: agents\.length: a table cannot stand here/);
  });

  it('is for Claude alone without a list', () => {
    expect(parse('[claude]\n').agents).toEqual(['claude']);
  });

  it('needs the table of every agent that it lists', () => {
    expect(() => parse('agents = ["kimi"]\n')).toThrow(/jackin\.role\.toml:3:1: agents: the agent kimi needs its table: add \[kimi\]/);
  });

  it.each([
    ['an unknown key', 'dockerfle = "x"\n', /unknown key "dockerfle"; did you mean "dockerfile"/],
    ['auth', 'agents = ["kimi"]\n[kimi]\nauth_forward = "ignore"\n', /kimi\.auth_forward: a role never says how somebody is logged in/],
    ['github', '[claude]\n[github]\n', /github: a role never says how somebody is logged in/],
    ['a key of an agent', '[claude]\n[env.KIMI_API_KEY]\ndefault = "x"\n', /jackin\.role\.toml:4[\s\S]*keys come from the operator/],
    ['a token for GitHub', '[claude]\n[env.GH_TOKEN]\ndefault = "x"\n', /keys come from the operator/],
    ['a name that jackin sets', '[claude]\n[env.JACKIN_ROLE]\ndefault = "x"\n', /JACKIN_ROLE is reserved/],
    ['a variable without a value', '[claude]\n[env.X]\n', /env\.X\.default/],
    ['a model that is a flag', 'agents = ["kimi"]\n[kimi]\nmodel = "--auto"\n', /expected a model name/],
    ['an agent that there is not', 'agents = ["copilot"]\n', /expected one of "claude"/],
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

describe('what a role asks for', () => {
  const BIG = 500;
  const variables = (count: number, body: (index: number) => string): string => `[claude]\n${Array.from({ length: count }, (_, index) => `[env.V${index}]\ndefault = "x"\n${body(index)}\n`).join('')}`;

  it('is a question with what it depends on', () => {
    const [, entry] = parse('[claude]\n[env.A]\ndefault = "a"\n[env.B]\ninteractive = true\nskippable = true\nprompt = "B of ${env.A}"\noptions = ["x", "y"]\ndefault = "y"\ndepends_on = ["env.A"]\n').env;
    expect(entry?.source).toEqual({
      kind: 'prompt',
      question: { interactive: true, skippable: true, prompt: 'B of ${env.A}', options: ['x', 'y'], proposed: 'y', dependsOn: ['A'] },
    });
  });

  it('may form a chain of any length', () => {
    expect(parse(variables(BIG, (index) => (index === 0 ? '' : `depends_on = ["env.V${index - 1}"]`))).env).toHaveLength(BIG);
  });

  it('is refused where the chain is closed, and not all of it is printed', () => {
    const message = () => parse(variables(BIG, (index) => `depends_on = ["env.V${(index + 1) % BIG}"]`));
    expect(message).toThrow(/V0 → V1 → V2 → V3 → V4 → V5 → V6 → V7 → V8 → V9 → V10 → V11 → … → V0/);
  });

  it.each([
    ['1,500 variables', () => variables(1500, () => 'depends_on = ["env.V1"]'), /env: 1500 variables are more than the 500 that a role may have/],
    ['every variable depending on every other', () => variables(90, (index) => `depends_on = [${Array.from({ length: 90 }, (_, other) => `"env.V${(index + other) % 90}"`).join(', ')}]`), /cannot depend on itself/],
    ['references that never close', () => `[claude]\n[env.X]\ndefault = "${'${env.'.repeat(10_000)}"\nunknown = 1\n`, /unknown key "unknown"/],
    ['9,000 agents that there are not', () => `agents = [${'"x",'.repeat(9000)}]\n`, /^900\d problems[\s\S]*\nand 89\d\d more$/],
  ])('takes no time to be judged: %s', (_what, text, message) => {
    const start = performance.now();
    expect(() => parse(text())).toThrow(message);
    expect(performance.now() - start).toBeLessThan(3000);
  });
});

describe('whatever stands in it', () => {
  const name = fc.constantFrom('version', 'agents', 'env', 'kimi', 'claude', 'grok', 'hooks', 'docker', 'identity', 'plugins', 'marketplaces', 'source', 'sparse', 'model', 'providers', 'default', 'options', 'depends_on', 'prompt', 'interactive', 'account', '__proto__', 'constructor', 'X');
  const leaf = fc.oneof(fc.string(), fc.boolean(), fc.integer(), fc.double({ noNaN: true }), fc.date({ noInvalidDate: true }), fc.constantFrom('kimi', 'grok', 'env.X', '${env.X}', 'a@b', 'v1alpha6', 'Dockerfile'));
  const { tree } = fc.letrec<{ tree: unknown; table: Record<string, unknown> }>((tie) => ({
    tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, fc.array(tie('tree'), { maxLength: 4 }), tie('table')),
    table: fc.array(fc.tuple(fc.oneof(name, fc.string()), tie('tree')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
  }));
  const document = fc.array(fc.tuple(name, tree), { maxLength: 12 }).map((entries) => stringify({ dockerfile: 'Dockerfile', ...Object.fromEntries(entries), version: 'v1alpha6' }));

  const judged = (text: string): void => {
    try {
      parseManifest('/role/jackin.role.toml', text);
    } catch (error) {
      if (!(error instanceof JackinError) || error.code !== 'config.invalid') throw error;
    }
  };

  it('is a role, or told to be none', () => {
    expect(() => fc.assert(fc.property(document, judged), { numRuns: 400 })).not.toThrow();
    expect(() => fc.assert(fc.property(fc.string(), judged), { numRuns: 200 })).not.toThrow();
  });
});
