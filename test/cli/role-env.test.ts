import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeCapsule, type FakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
const ENTER = '\r';
const DOWN = '\u001b[B';

let sandbox: Sandbox;
let capsule: FakeCapsule;
let engine: FakeEngine;

const ROLE = `version = "v1alpha6"
dockerfile = "Dockerfile"
agents = ["kimi"]

[kimi]

[env.SIZE]
interactive = true
prompt = "How large?"
options = ["small", "large"]

[env.BUCKET]
default = "s3://\${env.SIZE}"
depends_on = ["env.SIZE"]
`;

beforeEach(async () => {
  sandbox = await makeSandbox();
  capsule = fakeCapsule();
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
  await sandbox.write('project/role/jackin.role.toml', ROLE);
  await sandbox.write('project/role/Dockerfile', 'FROM projectjackin/construct:trixie\n');
});

const run = (argv: string[], options: RunOptions = {}): Promise<Run> => {
  const { env, deps } = installation({ HOST_SIZE: 'large' });
  return sandbox.run(argv, { engine, ...options, env: { ...env, ...options.env }, deps });
};
const load = (words: string[] = [], options: RunOptions = {}): Promise<Run> => run(['load', './role', '--detach', ...words], options);
const sent = (): Record<string, string> => capsule.launches.at(-1)?.session.env ?? {};
const madeNothing = async (): Promise<void> => {
  expect(engine.dockerfiles).toEqual([]);
  expect(engine.containers()).toEqual([]);
  expect(await readdir(path.join(sandbox.jackinHome, 'data')).catch(() => [])).toEqual([]);
};

describe('what a role asks for', () => {
  it('is asked before anything is made, and reaches the agent and no file', async () => {
    const { code, stderr } = await load([], { tty: true, input: DOWN + ENTER });
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('How large? (SIZE)') });
    expect(sent()).toMatchObject({ SIZE: 'large', BUCKET: 's3://large' });
    const [name = ''] = await readdir(path.join(sandbox.jackinHome, 'data'));
    expect(await readFile(path.join(sandbox.jackinHome, 'data', name, '.jackin', 'instance.json'), 'utf8')).not.toContain('large');
  });

  it.each([
    ['a line to type, in which the default stands already', '\n[env.NAME]\ninteractive = true\ndefault = "api"\n', '-2', { NAME: 'api-2' }],
    ['skipped by Enter on nothing, with what depends on it', '\n[env.NOTE]\ninteractive = true\nskippable = true\n\n[env.LABEL]\ndefault = "x"\ndepends_on = ["env.NOTE"]\n', '', {}],
  ])('is %s', async (_what, more, typed, expected) => {
    await sandbox.write('project/role/jackin.role.toml', ROLE + more);
    expect(await load(['--env', 'SIZE=small'], { tty: true, input: `${typed}${ENTER}` })).toMatchObject({ code: 0 });
    const { NAME, NOTE, LABEL } = sent();
    expect(JSON.parse(JSON.stringify({ NAME, NOTE, LABEL }))).toEqual(expected);
  });

  it('that is not answered ends the launch before it makes anything', async () => {
    expect((await load([], { tty: true, input: '\u0003' })).code).toBe(130);
    await madeNothing();
  });

  it.each([[[]], [['--no-input']]])('where nobody can answer is exit code 2, with both ways to answer: %j', async (words) => {
    const { code, stderr } = await load(words);
    expect(code).toBe(2);
    expect(stderr).toContain(`SIZE (role manifest (${path.join(sandbox.project, 'role/jackin.role.toml')}:7)): one of "small", "large"`);
    expect(stderr).toContain('`jackin load --env SIZE=VALUE`, for every one with `jackin config env set SIZE VALUE`');
    await madeNothing();
  });

  it('is never asked by a dry run, which says who decides', async () => {
    const { code, stdout } = await run(['load', './role', '--dry-run', '--format', 'json'], { tty: true });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).data.env).toEqual([
      { name: 'BUCKET', kind: 'prompt', decided_by: expect.objectContaining({ layer: 'role manifest', line: 13 }) },
      { name: 'SIZE', kind: 'prompt', decided_by: expect.objectContaining({ layer: 'role manifest', line: 7 }) },
    ]);
  });

  it('is answered by an [env] table as the hint says', async () => {
    expect((await run(['config', 'env', 'set', 'SIZE', 'small'])).code).toBe(0);
    expect((await load()).code).toBe(0);
    expect(sent()).toMatchObject({ SIZE: 'small', BUCKET: 's3://small' });
  });

  it('is asked again when the instance is started again', async () => {
    const { stdout } = await load(['--env', 'SIZE=small']);
    const id = stdout.trim();
    engine.exit(engine.containers().find(({ info }) => info.labels['jackin.kind'] === 'role')!.info.name, 0);
    capsule.forget();
    expect(await run(['hardline', id, '--detach', '--no-input'])).toMatchObject({ code: 2, stderr: expect.stringContaining('SIZE') });
    expect((await run(['hardline', id, '--detach'], { tty: true, input: DOWN + ENTER })).code).toBe(0);
    expect(capsule.launches.at(-1)?.session.env).toMatchObject({ SIZE: 'large' });
  });
});

describe('load --env', () => {
  it('goes before every table, and takes what the host has', async () => {
    await sandbox.write('config/config.toml', 'version = "v1alpha6"\n[env]\nSIZE = "small"\nOTHER = "far"\n');
    expect((await load(['--env', 'SIZE=$HOST_SIZE', '--env', 'OTHER=a=b', '--env', 'HOST_SIZE', '--env', 'EMPTY='])).code).toBe(0);
    expect(sent()).toMatchObject({ SIZE: 'large', BUCKET: 's3://large', OTHER: 'a=b', HOST_SIZE: 'large', EMPTY: '' });
  });

  it('says in the plan that it decided, and not what', async () => {
    const { stdout } = await run(['load', './role', '--dry-run', '--format', 'json', '--env', 'SIZE=small', '--env', 'KEY=fake-secret-value']);
    expect(JSON.parse(stdout).data.env).toContainEqual({ name: 'KEY', kind: 'literal', decided_by: { layer: 'command line' } });
    expect(stdout).not.toContain('fake-secret-value');
  });

  it.each([
    ['JACKIN_ROLE=x', 'JACKIN_ROLE is reserved: jackin sets it itself'],
    ['DOCKER_HOST', 'DOCKER_HOST is reserved'],
    ['1X=fake-secret-value', '--env "1X": not a name for an environment variable'],
    ['fake-secret-value', 'not a name for an environment variable'],
    ['SIZE=fake-secret-value', 'SIZE, set by command line, is none of the answers that the role has for it'],
  ])('refuses %s, and shows no value', async (text, message) => {
    const { code, stderr } = await load(['--env', text]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('fake-secret-value');
    await madeNothing();
  });
});
