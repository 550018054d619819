import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isProblem, MAX_TOML_BYTES, parseDocument } from '../../../src/config/document.ts';
import { readConfigFiles } from '../../../src/config/files.ts';
import { locatePaths } from '../../../src/config/paths.ts';
import { configError } from '../../../src/config/problems.ts';
import { ConfigSchema } from '../../../src/config/schema.ts';
import { validateDocument } from '../../../src/config/validate.ts';

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

  it('with thousands of unknown keys is refused soon, each with its line', () => {
    const said = soon(() => messageFor(Array.from({ length: 5000 }, (_each, index) => `key_${index} = 1`).join('\n')));
    expect(said).toMatch(/^5000 problems in the configuration/);
    expect(said).toContain('config.toml:5000:1: unknown key "key_4999"');
  });

  it.each(['a', '-', '/', 'a/', ' ', '$', '.', 'jk-'])('matches patterns in linear time: %j over and over', (piece) => {
    const long = piece.repeat(100_000);
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
