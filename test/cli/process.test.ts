/** `main.ts` as a process: what depends on the real streams, directories and users. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleProgram } from './bundled-program.ts';

let folder: string;
let main: string;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'jackin-process-'));
  main = await bundleProgram(folder);
  await mkdir(path.join(folder, 'roles', 'some'), { recursive: true });
  await writeFile(path.join(folder, 'roles', 'some', 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n');
  await writeFile(path.join(folder, 'roles', 'some', 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
  await mkdir(path.join(folder, 'construct'));
  await writeFile(path.join(folder, 'construct', 'Dockerfile'), 'FROM scratch\n');
  for (const name of ['config', 'user', 'project']) await mkdir(path.join(folder, name));
  env = { PATH: process.env.PATH ?? '', HOME: path.join(folder, 'user'), JACKIN_CONFIG_DIR: path.join(folder, 'config'), JACKIN_HOME_DIR: path.join(folder, 'home') };
  await chmod(folder, 0o755);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const shell = (script: string) => spawnSync('sh', ['-c', script, 'sh', process.execPath, main], { env, cwd: path.join(folder, 'project'), encoding: 'utf8' });

describe('a result that cannot be written', () => {
  it.skipIf(!existsSync('/dev/full'))('is a failure', () => {
    const { status, stderr } = shell('"$1" "$2" --version >/dev/full');
    expect(stderr).toMatch(/^error: the result could not be written: ENOSPC/);
    expect(status).toBe(1);
  });

  it('is a success when its reader did not want it', async () => {
    const child = spawn(process.execPath, [main, '--help'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += chunk));
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    expect(stderr).toBe('');
  });
});

it.skipIf(!existsSync('/dev/full'))('a launch goes on when nobody hears what it says', () => {
  // It has told what it will do before it finds out that there is no engine.
  const { status } = shell('"$1" "$2" load some --detach 2>/dev/full');
  expect(status).toBe(5);
});

describe('with few files that may be open', () => {
  /** From what Node.js itself needs, to what is enough: somewhere in between, a part of jackin cannot be loaded. */
  const LIMITS = [24, 28, 32, 36, 40, 48];

  it('no limit is called a bug, and one that is too low is told', { timeout: 120_000 }, () => {
    const said = LIMITS.map((limit) => shell(`ulimit -n ${limit}; "$1" "$2" load some --detach`).stderr);
    expect(said.filter((text) => /this is a bug|unexpected:/.test(text))).toEqual([]);
    expect(said.filter((text) => /^error: cannot open \/.*: too many open files \(EMFILE\)\nhint: raise the limit/m.test(text)).length).toBeGreaterThan(0);
  });
});

describe('in a directory that was removed', () => {
  const inRemoved = (command: string) => shell(`mkdir gone; cd gone; rmdir ../gone; "$1" "$2" ${command}`);

  it('works where no directory is needed', () => {
    expect(inRemoved('--version')).toMatchObject({ status: 0, stdout: '1.2.3\n' });
  });

  it('names it where one is', () => {
    const { status, stderr } = inRemoved('load some --dry-run');
    expect(stderr).toContain(`mount source ${path.join(folder, 'project', 'gone')} does not exist`);
    expect(status).toBe(7);
  });
});

it.skipIf(process.getuid?.() !== 0)('a user whom the system does not know, without HOME, is told what is missing', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { env: { PATH: env.PATH! }, cwd: folder, uid: 54_321, gid: 54_321, encoding: 'utf8' });
  expect(run('--version')).toMatchObject({ status: 0, stdout: '1.2.3\n' });
});
