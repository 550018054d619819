import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isProblem, MAX_TOML_BYTES, parseDocument } from '../../../src/config/document.ts';
import { readConfigFiles } from '../../../src/config/files.ts';
import { locatePaths } from '../../../src/config/paths.ts';
import { upgradeDocument } from '../../../src/config/migrate-steps.ts';
import { configError } from '../../../src/config/problems.ts';
import { ConfigSchema } from '../../../src/config/schema.ts';
import { MAX_TOML_COMMENTS, MAX_TOML_ITEMS, MAX_TOML_TEXT } from '../../../src/config/size.ts';
import { validateDocument } from '../../../src/config/validate.ts';

const lines = (count: number, line: (index: number) => string): string => Array.from({ length: count }, (_each, index) => `${line(index)}\n`).join('');

/** Far more than any of these needs, far less than what would be noticed as a hang. */
const SOON_MS = 4000;

/** The message for a text; empty when nothing is wrong with it. */
const messageFor = (text: string): string => {
  const document = parseDocument('/c/config.toml', text);
  if (isProblem(document)) return configError([document]).message;
  const result = validateDocument(ConfigSchema, document);
  return result.ok ? '' : configError(result.problems).message;
};

const soon = <T>(work: () => T): T => {
  const start = performance.now();
  const result = work();
  expect(performance.now() - start).toBeLessThan(SOON_MS);
  return result;
};

describe('a configuration that is meant to hurt', () => {
  it.each([
    ['larger than the limit', `a = "${'x'.repeat(MAX_TOML_BYTES)}"`, /larger than 1048576 bytes/],
    ['of brackets', `a = ${'['.repeat(300_000)}`, /a problem in the configuration/],
    ['of inline tables', `a = ${'{b='.repeat(100_000)}`, /a problem in the configuration/],
    ['of dots', `${'a.'.repeat(50_000)}a = 1`, /a problem in the configuration/],
    ['with one enormous key', `${'k'.repeat(500_000)} = 1`, /unknown key/],
    ['with an enormous number', `kimi = ${'9'.repeat(100_000)}`, /a problem in the configuration/],
    ['with a number beyond any', 'kimi = 1e999999999', /a problem in the configuration/],
    ['with keys of the prototype', '[__proto__]\npolluted = true\n[constructor.prototype]\npolluted = true\n', /unknown key "__proto__"[\s\S]*unknown key "constructor"/],
    ['that says a thing twice', '[kimi]\nauth_forward = "sync"\nauth_forward = "ignore"\n', /config\.toml:3:/],
    ['with bytes of control', '[kimi]\nauth_forward = "a\u0000b"\n', /a problem in the configuration/],
  ])('is refused soon: %s', (_what, text, message) => {
    const said = soon(() => messageFor(text));
    expect(said).toMatch(message);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('with thousands of unknown keys is refused soon: 50 of them with their lines, the others counted', () => {
    const said = soon(() => messageFor(lines(5000, (index) => `key_${index} = 1`)));
    expect(said).toMatch(/^5000 problems in the configuration/);
    expect(said).toContain('config.toml:50:1: unknown key "key_49"');
    expect(said).not.toContain('key_50');
    expect(said).toMatch(/\nand 4950 more$/);
  });

  it('tells the first 50 of many tables in the order of the text, each with what was meant', () => {
    const said = messageFor(lines(40, (index) => `[roles.r${index}]\ntrustd = true\nnothing_like_it = 1`));
    expect(said).toMatch(/^80 problems/);
    expect(said.match(/did you mean "trusted"/g)).toHaveLength(25);
    expect(said).toMatch(/config\.toml:74:1: unknown key "trustd" in \[roles\.r24\]/);
    expect(said).toMatch(/and 30 more$/);
  });

  it('names no path and no key of a length that would fill the screen', () => {
    const long = 'k'.repeat(200_000);
    const deep = `${'a.'.repeat(300)}a`;
    const said = messageFor(`[roles.x.env]\n${deep} = 1\n[roles.r.${long}]\n[roles.x.env.${long}]\n${lines(60, (index) => `u${index} = 1`)}`);
    expect(said).toContain(`unknown key "${'k'.repeat(80)}…" in [roles.r]`);
    expect(said).toContain(`roles.x.env.${'k'.repeat(80)}…: `);
    expect(said.length).toBeLessThan(20_000);
  });

  it.each([
    ['a version', `version = "v1alpha${'1'.repeat(60_000)}"`],
    ['a workspace', `[workspaces."${'('.repeat(60_000)}"]`],
    ['a value that is none of those', `[kimi]\nauth_forward = "${'x'.repeat(60_000)}"`],
  ])('quotes %s of any length in part', (_what, text) => {
    const document = parseDocument('/c/config.toml', text);
    const upgraded = isProblem(document) ? [document] : upgradeDocument('config', document);
    const said = Array.isArray(upgraded) ? configError(upgraded).message : messageFor(text);
    expect(said).toMatch(/^a problem in the configuration\n\/c\/config\.toml:[12]:\d: /);
    expect(said.length).toBeLessThan(1500);
  });

  it.each([
    ['text', '[kimi.account.length]\n', '1:2: kimi.account.length: '],
    ['text, with functions that are none', '[kimi.account.length]\nvalueOf = 1\ntoString = 1\n', '1:2: kimi.account.length: '],
  ])('is refused for a table in the place of a %s that says how long it is', (_what, text, place) => {
    expect(messageFor(text)).toMatch(new RegExp(`^a problem in the configuration\\n/c/config\\.toml:${place}`));
    expect(messageFor('[roles.length]\ntrusted = true\n[env]\nlength = "x"\n')).toBe('');
  });

  const MANY = MAX_TOML_ITEMS + 1;
  /** So many of them fit into one text, and are more than there may be outside of one. */
  const INSIDE = 6000;
  it.each([
    ['keys', lines(MANY, (index) => `k${index} = 1`), MANY, 'keys, tables and values'],
    ['keys with Windows line ends', lines(MANY, (index) => `k${index} = 1\r`), MANY, 'keys, tables and values'],
    ['quoted keys', lines(MANY, (index) => `"k=${index}" = 1`), MANY, 'keys, tables and values'],
    ['tables', lines(MANY, (index) => `[t${index}]`), MANY, 'keys, tables and values'],
    ['elements of tables', lines(MANY, () => '[[t]]'), MANY / 2 + 0.5, 'keys, tables and values'],
    ['dots', `${'a.'.repeat(MANY)}a = 1`, 1, 'keys, tables and values'],
    ['elements of a list', `a = [\n${lines(MANY, () => '1,')}]`, MANY - 1, 'keys, tables and values'],
    ['keys of an inline table', `a = {${Array.from({ length: MANY }, (_each, index) => `k${index}=1`).join(',')}}`, 1, 'keys, tables and values'],
    ['brackets', `a = ${'['.repeat(MANY)}`, 1, 'keys, tables and values'],
    ['comments', lines(MAX_TOML_COMMENTS + 1, () => '# a = 1, [b]'), MAX_TOML_COMMENTS + 1, 'comments'],
    ['keys behind a text of quotes', `a = """""x"""""\nb = '''''x'''''\nc = "\\""\n${lines(MANY - 3, (index) => `k${index} = '\\'`)}`, MANY, 'keys, tables and values'],
  ])('is refused at the line where it has too many %s', (_what, text, line, what) => {
    const said = soon(() => messageFor(text));
    expect(said).toMatch(new RegExp(`^a problem in the configuration\n/c/config\\.toml:${line}:\\d+: more than \\d+ ${what} in one file`));
  });

  it.each(['"', "'", '"""', "'''"])('is refused where a text between %s is too long to be anything', (quote) => {
    expect(soon(() => messageFor(`[env]\nA = ${quote}${'x'.repeat(MAX_TOML_TEXT - 2 * quote.length)}${quote}\n`))).toBe('');
    expect(soon(() => messageFor(`[env]\nA = ${quote}${'x'.repeat(MAX_TOML_TEXT)}${quote}\n`))).toBe('a problem in the configuration\n/c/config.toml:2:5: a text of more than 65536 characters');
  });

  it.each([
    ['a comment', `# ${'=,[{.'.repeat(INSIDE)}\n`],
    ['a text', `[env]\nA = "${'=,[{.\\"'.repeat(INSIDE)}"\n`],
    ['a literal text', `[env]\nA = '${'=,[{.\\"'.repeat(INSIDE)}'\n`],
    ['a text of several lines', `[env]\nA = """${'=,[{.\\""\n#'.repeat(INSIDE)}"""\n`],
    ['a literal text of several lines', `[env]\nA = '''${"=,[{.''\n#".repeat(INSIDE)}'''\n`],
  ])('does not count what stands in %s', (_what, text) => {
    expect(soon(() => messageFor(text))).toBe('');
  });

  it.each(['a', '-', '/', 'a/', ' ', '$', '.', 'jk-'])('matches patterns in linear time: %j over and over', (piece) => {
    const long = piece.repeat(Math.floor(60_000 / piece.length));
    const texts = [`[roles.${JSON.stringify(long)}]`, `[env]\n${JSON.stringify(long)} = "x"`, `[env]\nA = ${JSON.stringify(long)}`, `[kimi]\nsync_source_dir = ${JSON.stringify(long)}`];
    expect(soon(() => texts.map(messageFor))).toHaveLength(4);
  });
});

describe('a configuration file that is none', () => {
  const configDir = async () => {
    const root = await mkdtemp(path.join(tmpdir(), 'jackin-bombs-'));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    await mkdir(path.join(root, 'workspaces'));
    return { root, paths: locatePaths({ env: { JACKIN_CONFIG_DIR: root }, home: '/nonexistent' }) };
  };

  it('is refused without waiting for it: a pipe, a device, an enormous file', async () => {
    const { root, paths } = await configDir();
    execFileSync('mkfifo', [path.join(root, 'config.toml')]);
    await expect(readConfigFiles(paths)).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining('is not a regular file') });
    await rm(path.join(root, 'config.toml'));
    await writeFile(path.join(root, 'config.toml'), Buffer.alloc(MAX_TOML_BYTES + 1, '#'));
    await expect(readConfigFiles(paths)).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining('larger than') });
  });
});
