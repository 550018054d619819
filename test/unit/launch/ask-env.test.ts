import { describe, expect, it } from 'vitest';
import { deriveValues } from '../../../src/auth/derived-values.ts';
import { readEntries } from '../../../src/auth/env-values.ts';
import { type EnvEntry, overRoleEnv, underCommandLine } from '../../../src/config/resolve-env.ts';
import { type Ask, askEnv, type Question } from '../../../src/launch/ask-env.ts';
import { parseManifest } from '../../../src/roles/manifest.ts';
import { Secret } from '../../../src/shared/secret.ts';

const roleEnv = (text: string): EnvEntry[] => parseManifest('/role/jackin.role.toml', `version = "v1alpha6"\ndockerfile = "Dockerfile"\n[claude]\n${text}`).env;
const given = (values: Record<string, string>): EnvEntry[] => underCommandLine([], Object.entries(values).map(([name, value]) => ({ name, value })));

/** Answers by name, and what was asked. */
const answering = (answers: Record<string, string>): { ask: Ask; asked: Question[] } => {
  const asked: Question[] = [];
  const ask: Ask = (question) => {
    asked.push(question);
    return Promise.resolve(answers[question.name] ?? question.proposed ?? '');
  };
  return { ask, asked };
};

/** The values that a session would get. */
const valuesOf = async (entries: EnvEntry[], host: Record<string, string> = {}): Promise<Record<string, string>> => {
  const read = entries.filter(({ source }) => source.kind !== 'prompt' || source.answer !== undefined);
  const secrets = await readEntries(read, host, new AbortController().signal);
  const values = deriveValues(entries.filter((entry) => !read.includes(entry)), new Map(read.map(({ name }, index) => [name, secrets[index]!])));
  return Object.fromEntries([...values].map(([name, value]) => [name, value.reveal()]));
};

const TEAM = `[env.BUCKET]
default = "s3://\${env.TEAM}/\${env.REGION}"
depends_on = ["env.TEAM", "env.REGION"]
[env.REGION]
interactive = true
prompt = "Where does \${env.TEAM} work?"
default = "\${env.TEAM}-1"
depends_on = ["env.TEAM"]
[env.TEAM]
interactive = true
`;

describe('what a role asks', () => {
  it('is asked in the order of what depends on what, with the answers before it', async () => {
    const { ask, asked } = answering({ TEAM: 'red', REGION: 'here' });
    const entries = await askEnv(roleEnv(TEAM), ask);
    expect(asked).toEqual([
      { name: 'TEAM', text: 'TEAM', proposed: undefined, options: undefined, skippable: false },
      { name: 'REGION', text: 'Where does red work? (REGION)', proposed: 'red-1', options: undefined, skippable: false },
    ]);
    expect(await valuesOf(entries)).toEqual({ TEAM: 'red', REGION: 'here', BUCKET: 's3://red/here' });
  });

  it('is a secret once it is answered', async () => {
    const entries = await askEnv(roleEnv(TEAM), answering({ TEAM: 'fake-answer' }).ask);
    expect(entries.find(({ name }) => name === 'TEAM')?.source).toMatchObject({ answer: expect.any(Secret) });
    expect(JSON.stringify(entries)).not.toContain('fake-answer');
  });

  it('is refused where it would repeat itself beyond what a variable can hold', async () => {
    const double = (name: string, other: string): string => `[env.${name}]\ndefault = "\${env.${other}}\${env.${other}}"\ndepends_on = ["env.${other}"]\n`;
    const entries = await askEnv(roleEnv(`[env.A]\ninteractive = true\n${double('B', 'A')}${double('C', 'B')}`), answering({ A: 'x'.repeat(40_000) }).ask).catch((error: unknown) => error);
    expect(entries).toMatchObject({ code: 'config.invalid', message: expect.stringMatching(/^C: /) });
    const taken = await askEnv([...roleEnv(`[env.A]\ndefault = "a"\n${double('B', 'A')}${double('C', 'B')}`).filter(({ name }) => name !== 'A'), ...underCommandLine([], [{ name: 'A', value: '$LONG' }])], undefined);
    await expect(valuesOf(taken, { LONG: 'x'.repeat(40_000) })).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringMatching(/^C: /) });
  });

  it('takes an answer as it stands, even one that looks like a reference', async () => {
    const entries = await askEnv(roleEnv('[env.A]\ndefault = "a"\n[env.B]\ninteractive = true\n'), answering({ B: '${env.A} $A' }).ask);
    expect(await valuesOf(entries)).toEqual({ A: 'a', B: '${env.A} $A' });
  });

  it('is not asked where the operator has said it, and that counts for what depends on it', async () => {
    const { ask, asked } = answering({});
    const entries = await askEnv(overRoleEnv(given({ TEAM: 'blue' }), roleEnv(TEAM)), ask);
    expect(asked.map(({ text, proposed }) => [text, proposed])).toEqual([['Where does blue work? (REGION)', 'blue-1']]);
    expect(await valuesOf(entries)).toEqual({ TEAM: 'blue', REGION: 'blue-1', BUCKET: 's3://blue/blue-1' });
  });

  it('shows the name of what only the launch reads, and fills it in there', async () => {
    const { ask, asked } = answering({});
    const entries = await askEnv(overRoleEnv(given({ TEAM: '$HOST_TEAM' }), roleEnv(TEAM)), ask);
    expect(asked.map(({ text, proposed }) => [text, proposed])).toEqual([['Where does $TEAM work? (REGION)', '${env.TEAM}-1']]);
    expect(await valuesOf(entries, { HOST_TEAM: 'green' })).toEqual({ TEAM: 'green', REGION: 'green-1', BUCKET: 's3://green/green-1' });
  });

  it('that is skipped skips what depends on it', async () => {
    const text = TEAM.replace('[env.TEAM]\n', '[env.TEAM]\nskippable = true\n');
    const { ask, asked } = answering({ TEAM: '' });
    expect(await askEnv(roleEnv(`${text}[env.OTHER]\ndefault = "o"\n`), ask)).toMatchObject([{ name: 'OTHER' }]);
    expect(asked.map(({ name }) => name)).toEqual(['TEAM']);
  });
});

describe('what a role asks where nobody is there', () => {
  it('is what it proposes, or nothing where it may be skipped', async () => {
    const entries = await askEnv(roleEnv('[env.A]\ninteractive = true\ndefault = "a"\n[env.B]\ninteractive = true\nskippable = true\n[env.C]\ndefault = "c"\ndepends_on = ["env.B"]\n'), undefined);
    expect(await valuesOf(entries)).toEqual({ A: 'a' });
  });

  it('is told, all of it at once, with both ways to answer', async () => {
    const asked = askEnv(roleEnv('[env.A]\ninteractive = true\n[env.B]\ninteractive = true\noptions = ["x", "y"]\n'), undefined);
    await expect(asked).rejects.toMatchObject({
      code: 'usage',
      message: 'the role asks for what nobody is there to answer:\n  A (role manifest (/role/jackin.role.toml:4))\n  B (role manifest (/role/jackin.role.toml:6)): one of "x", "y"',
      hint: 'answer for one launch with `jackin load --env A=VALUE`, for every one with `jackin config env set A VALUE`',
    });
  });
});

describe('the answers of an operator’s layer', () => {
  const CHOICE = '[env.SIZE]\ninteractive = true\noptions = ["small", "large"]\n';

  it('are the nearest on the command line', () => {
    const table: EnvEntry = { name: 'A', source: { kind: 'literal', value: 'far' }, origin: { layer: 'workspace', file: '/c/w.toml', line: 3 }, beaten: [] };
    expect(underCommandLine([table], [{ name: 'A', value: 'first' }, { name: 'A', value: 'op://v/i/f' }])).toEqual([
      { name: 'A', source: { kind: 'op', reference: 'op://v/i/f' }, origin: { layer: 'command line' }, beaten: [table.origin] },
    ]);
  });

  it('have to be among the options', () => {
    expect(() => overRoleEnv(given({ SIZE: 'fake-other' }), roleEnv(CHOICE))).toThrow(
      expect.objectContaining({ code: 'usage', message: 'SIZE, set by command line, is none of the answers that the role has for it', hint: 'one of "small", "large" (role manifest (/role/jackin.role.toml:4))' }),
    );
    const table: EnvEntry = { name: 'SIZE', source: { kind: 'literal', value: 'fake-other' }, origin: { layer: 'global', file: '/c/config.toml', line: 3 }, beaten: [] };
    expect(() => overRoleEnv([table], roleEnv(CHOICE))).toThrow(expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining('global (/c/config.toml:3)') }));
    expect(overRoleEnv(given({ SIZE: 'large' }), roleEnv(CHOICE))).toHaveLength(1);
  });
});
