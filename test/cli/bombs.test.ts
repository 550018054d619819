/** Files below the size limit that are made to cost time, memory or screens, for the program as a process. */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_TOML_BYTES } from '../../src/config/document.ts';
import { MAX_TOML_COMMENTS, MAX_TOML_ITEMS } from '../../src/config/size.ts';
import { bundleProgram } from './bundled-program.ts';

/** The promise is 20 and 4. A file this small takes a tenth of a second, so CPU time says enough on a busy machine. */
const MAX_TIMES_CPU = 20;
const MAX_TIMES_MEMORY = 4;
const RUNS = 2;

const VERSION = 'version = "v1alpha6"\n';
const lines = (count: number, line: (index: number) => string): string => Array.from({ length: count }, (_each, index) => `${line(index)}\n`).join('');

const MINIMAL = VERSION;
const variables = (count: number): string => `${VERSION}[env]\n${lines(count, (index) => `K${index} = "v"`)}`;

let folder: string;
let main: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'jackin-bombs-'));
  main = await bundleProgram(folder);
  await cp(path.resolve(import.meta.dirname, '../../roles'), path.join(folder, 'roles'), { recursive: true });
  await cp(path.resolve(import.meta.dirname, '../../construct'), path.join(folder, 'construct'), { recursive: true });
  await mkdir(path.join(folder, 'user'));
  await mkdir(path.join(folder, 'project'));
  const report = `const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
fs.writeFileSync(process.env.USAGE_FILE, JSON.stringify({ cpu: (userCPUTime + systemCPUTime) / 1000, memory: maxRSS / 1024 }));`;
  await writeFile(path.join(folder, 'report.mjs'), `import fs from 'node:fs';\nprocess.on('exit', () => {\n${report}\n});\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Usage {
  /** Milliseconds of user and system time. */
  cpu: number;
  /** MiB. */
  memory: number;
  status: number | null;
  output: string;
}

/** Runs the program on one configuration and one role, both written anew: some commands change them. `size` makes the manifest a file full of holes. */
const run = async (args: readonly string[], config: string, manifest: string, size?: number): Promise<Usage> => {
  const configDir = path.join(folder, 'config');
  const role = path.join(folder, 'role');
  await mkdir(path.join(configDir, 'workspaces'), { recursive: true });
  await mkdir(role, { recursive: true });
  await writeFile(path.join(configDir, 'config.toml'), config);
  await writeFile(path.join(role, 'jackin.role.toml'), manifest);
  if (size !== undefined) await truncate(path.join(role, 'jackin.role.toml'), size);
  await writeFile(path.join(role, 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
  const usageFile = path.join(folder, 'usage.json');
  const env = { PATH: process.env.PATH ?? '', HOME: path.join(folder, 'user'), JACKIN_CONFIG_DIR: configDir, JACKIN_HOME_DIR: path.join(folder, 'home'), USAGE_FILE: usageFile };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', path.join(folder, 'report.mjs'), main, ...args], { env, cwd: path.join(folder, 'project'), encoding: 'utf8', maxBuffer: 1024 ** 3 });
  const { cpu, memory } = JSON.parse(await readFile(usageFile, 'utf8')) as Pick<Usage, 'cpu' | 'memory'>;
  return { cpu, memory, status, output: stdout + stderr };
};

const best = (usages: readonly Usage[]): Usage => ({
  ...usages[0]!,
  cpu: Math.min(...usages.map(({ cpu }) => cpu)),
  memory: Math.min(...usages.map(({ memory }) => memory)),
});

/** The same command on the minimal files and on others, taken in turns. */
const compare = async (args: readonly string[], config: string, manifest = ROLE, size?: number): Promise<{ minimal: Usage; bomb: Usage }> => {
  const [minimal, bomb]: [Usage[], Usage[]] = [[], []];
  for (let at = 0; at < RUNS; at += 1) {
    minimal.push(await run(args, MINIMAL, ROLE));
    bomb.push(await run(args, config, manifest, size));
  }
  return { minimal: best(minimal), bomb: best(bomb) };
};

const ROLE = `${VERSION}dockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n`;
const SET = ['config', 'env', 'set', 'NEW', 'value'];
const EXPLAIN = ['config', 'explain'];
const VALIDATE = ['config', 'validate'];

const expectCheap = ({ minimal, bomb }: { minimal: Usage; bomb: Usage }): void => {
  expect(minimal.status).toBe(0);
  expect(bomb.cpu / minimal.cpu).toBeLessThan(MAX_TIMES_CPU);
  expect(bomb.memory / minimal.memory).toBeLessThan(MAX_TIMES_MEMORY);
};

describe('a configuration that is meant to cost time', () => {
  it.each([
    ['60,000 variables, one of them set', SET, variables(60_000), /config\.toml:10001:\d+: more than 10000 keys, tables and values/],
    ['60,000 variables, explained', EXPLAIN, variables(60_000), /config\.toml:10001:\d+: more than 10000 keys/],
    ['50,000 unknown keys', VALIDATE, VERSION + lines(50_000, (index) => `key_${index} = 1`), /config\.toml:10001:\d+: more than/],
    ['40,000 tables of roles', SET, VERSION + lines(40_000, (index) => `[roles.r${index}]`), /config\.toml:\d+:\d+: more than/],
    ['100,000 empty elements', VALIDATE, VERSION + lines(100_000, () => '[[a]]'), /config\.toml:\d+:\d+: more than/],
    ['a list of 500,000', VALIDATE, `${VERSION}a = [${'1,'.repeat(500_000)}]\n`, /config\.toml:2:\d+: more than/],
    ['500,000 comments', SET, VERSION + '#\n'.repeat(500_000), /config\.toml:50002:1: more than 50000 comments/],
    ['Windows line ends', SET, variables(60_000).replaceAll('\n', '\r\n'), /config\.toml:10001:\d+: more than/],
  ])('is refused early: %s', async (_what, args, config, message) => {
    expect(config.length).toBeLessThan(MAX_TOML_BYTES);
    const usages = await compare(args, config);
    expectCheap(usages);
    expect(usages.bomb).toMatchObject({ status: 3, output: expect.stringMatching(message) });
  });

  const MOST = MAX_TOML_ITEMS - 100;
  it.each([
    ['variables, one of them set', SET, variables(MOST), 0],
    ['variables, explained', EXPLAIN, variables(MOST), 0],
    ['variables with comments', SET, `${VERSION}[env]\n${lines(MOST, (index) => `# ${index}\nK${index} = "v" # ${index}`)}`, 0],
    ['unknown keys', VALIDATE, VERSION + lines(MOST, (index) => `key_${index} = 1`), 3],
    ['variables of a wrong type', VALIDATE, `${VERSION}[env]\n${lines(MOST, (index) => `K${index} = 1`)}`, 3],
    ['mounts, planned', ['load', 'agent-smith', '--dry-run'], VERSION + lines(MOST / 5, (index) => `[docker.mounts.m${index}]\nsrc = "/tmp"\ndst = "/b${index}"`), 0],
    ['comments', SET, VERSION + '#\n'.repeat(MAX_TOML_COMMENTS), 0],
    ['blank lines', SET, VERSION + '\n'.repeat(MAX_TOML_BYTES - 1000), 0],
  ])('costs little right below the limit: %s', async (_what, args, config, status) => {
    const usages = await compare(args, config);
    expectCheap(usages);
    expect(usages.bomb.status).toBe(status);
  });

  it('is told as 50 problems and a number, with the exit code of the configuration', async () => {
    const { status, output } = await run(VALIDATE, VERSION + lines(5000, (index) => `key_${index} = 1`), ROLE);
    expect(status).toBe(3);
    expect(output).toContain('5000 problems in the configuration');
    expect(output.match(/unknown key/g)).toHaveLength(50);
    expect(output).toContain('\nand 4950 more\n');
  });

  it('is told in JSON as 50 problems and a number as well', async () => {
    const { status, output } = await run([...EXPLAIN, '--format', 'json'], VERSION + lines(5000, (index) => `key_${index} = 1`), ROLE);
    expect(status).toBe(3);
    const { error } = JSON.parse(output) as { error: { code: string; message: string } };
    expect(error.code).toBe('config.invalid');
    expect(error.message.match(/unknown key/g)).toHaveLength(50);
    expect(error.message).toMatch(/\nand 4950 more$/);
  });
});

describe('a role that is meant to cost time', () => {
  it.each([
    ['50,000 unknown keys', ROLE.replace('[kimi]\n', '') + lines(50_000, (index) => `key_${index} = 1`), /more than 10000 keys/],
    ['a manifest of 300 MiB', ROLE, /larger than 1048576 bytes/, 300 * MAX_TOML_BYTES],
  ])('is refused early: %s', async (_what, manifest, message, size?: number) => {
    const usages = await compare(['load', './../role', '--dry-run'], MINIMAL, manifest, size);
    expectCheap(usages);
    expect(usages.bomb).toMatchObject({ status: 3, output: expect.stringMatching(message) });
  });

  it('is told as 50 problems and a number, for people and in JSON', async () => {
    const manifest = ROLE + lines(3000, (index) => `key_${index} = 1`);
    const shown = await run(['role', 'validate', '../role'], MINIMAL, manifest);
    expect(shown.status).toBe(3);
    expect(shown.output).toContain(': 3000 problems');
    expect(shown.output.match(/unknown key/g)).toHaveLength(50);
    expect(shown.output).toContain('\nand 2950 more\n');
    const { status, output } = await run(['role', 'validate', '../role', '--format', 'json'], MINIMAL, manifest);
    const { data } = JSON.parse(output) as { data: { valid: boolean; problems: unknown[]; more_problems: number } };
    expect({ status, valid: data.valid, told: data.problems.length, more: data.more_problems }).toEqual({ status: 3, valid: false, told: 50, more: 2950 });
  });
});
