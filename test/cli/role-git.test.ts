import { appendFile, chmod, lstat, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { DOCKERFILE, makeRoleRepository, MANIFEST, type RoleRepository } from '../fakes/role-repository.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
const KEY = 'acme/backend';

let sandbox: Sandbox;
let engine: FakeEngine;
let source: RoleRepository;

beforeEach(async () => {
  sandbox = await makeSandbox();
  engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
  source = makeRoleRepository(path.join(sandbox.root, 'source'));
  await configure(source.dir);
});

const configure = (git: string, more = '') => sandbox.write('config/config.toml', `version = "v1alpha6"\n[roles."${KEY}"]\ngit = ${JSON.stringify(git)}\n${more}`);

const run = (argv: string[], options: RunOptions = {}) => {
  const { env, deps } = installation();
  return sandbox.run(argv, { engine, ...options, env: { ...env, ...options.env }, deps: { ...deps, ...options.deps } });
};
const load = (words: string[] = [], options: RunOptions = {}) => run(['load', KEY, '--prompt', 'hi', ...words], options);
const yes = { tty: true, input: 'y' };
const builtDockerfiles = () => engine.dockerfiles.filter((text) => text.includes('/jackin'));
const dataOf = async (words: string[]) => JSON.parse((await run([...words, '--format', 'json'])).stdout).data;
const short = (commit: string) => commit.slice(0, 12);

describe('a role that is used for the first time', () => {
  it('is shown and asked about before anything is built, and then runs', async () => {
    source.write('setup.sh', '#!/bin/sh\n');
    source.write('jackin.role.toml', `${MANIFEST}[hooks]\nsetup_once = "setup.sh"\n`);
    const commit = source.commit('Add a hook\u001b[2J');
    const { code, stderr } = await load([], yes);
    expect(code).toBe(0);
    expect(stderr).toContain(`source     ${source.dir}`);
    expect(stderr).toContain(`commit     ${commit} "Add a hook`);
    expect(stderr).toContain('by Ann Author');
    expect(stderr).toContain('setup_once (setup.sh)');
    expect(stderr).toContain('Trusting it means');
    expect(stderr).not.toContain('\u001b[2J"');
    expect(builtDockerfiles()).toHaveLength(1);
  });

  it.each([
    ['a no', { tty: true, input: 'n' }],
    ['Enter', { tty: true, input: '\r' }],
  ])('and not agreed to with %s: nothing is built', async (_what, options) => {
    const { code, stderr } = await load([], options);
    expect(code).toBe(6);
    expect(stderr).toContain('nothing of it was built or run');
    expect(engine.dockerfiles).toEqual([]);
    expect((await dataOf(['role', 'list'])).roles.find(({ role }: { role: string }) => role === KEY).trusted).toBe(false);
  });

  it.each([[[]], [['--no-input']]])('and nobody can be asked %j: exit 6, with what would answer', async (words) => {
    const { code, stderr } = await load(words);
    expect(code).toBe(6);
        expect(stderr).toContain(`jackin config trust grant ${KEY} --commit ${source.git('rev-parse', 'HEAD')}`);
    expect(engine.dockerfiles).toEqual([]);
  });

  it('is not asked about again', async () => {
    await load([], yes);
    expect((await load()).code).toBe(0);
  });

  it('needs no question with its commit on the command line, and another commit is not meant by it', async () => {
    const commit = source.git('rev-parse', 'HEAD');
    expect((await load(['--trust', short(commit)])).code).toBe(2);
    expect((await load(['--trust', `${short(commit)}${'0'.repeat(28)}`])).code).toBe(6);
    expect((await load(['--trust', commit.toUpperCase()])).code).toBe(0);
    expect((await load()).code).toBe(0);
  });

  it('needs none after a grant in the configuration: its first commit is written down, a later one is asked about', async () => {
    await rm(path.join(sandbox.config, 'config.toml'));
    await configure(source.dir);
    expect((await run(['config', 'trust', 'grant', KEY])).code).toBe(0);
    expect((await load()).code).toBe(0);
    source.write('Dockerfile', `${DOCKERFILE}RUN true\n`);
    const changed = source.commit('Change');
    const { code, stderr } = await load(['--update']);
    expect(code).toBe(0);
    expect(stderr).toContain(`${short(changed)} is newer and not trusted`);
  });

  it('is granted at a commit that is named: the newest, an older one, or none at all', async () => {
    const first = source.git('rev-parse', 'HEAD');
    source.write('Dockerfile', `${DOCKERFILE}RUN true\n`);
    const second = source.commit('Change');
    expect(await run(['config', 'trust', 'grant', KEY, '--commit', '0123456789'.repeat(4)])).toMatchObject({ code: 7, stderr: expect.stringContaining(`newest one is ${short(second)}`) });
    expect((await load()).code).toBe(6);
    expect((await run(['config', 'trust', 'grant', KEY, '--commit', first])).stdout).toContain(`trusted at ${short(first)}`);
    expect((await load()).stderr).toContain(`${short(first)}, which is trusted, is used`);
    await run(['config', 'trust', 'grant', KEY, '--commit', second]);
    expect((await load()).stderr).not.toContain('is newer');
  });

  it('is planned by a dry run, which says what is missing and writes no trust down', async () => {
    const { code, stdout } = await run(['load', KEY, '--dry-run', '--format', 'json'], { ...yes, engine: undefined as never });
    expect(code).toBe(0);
    const { role } = JSON.parse(stdout).data;
    expect(role.trust).toEqual({ state: 'needed', why: 'it is used for the first time' });
    expect(role.source).toMatchObject({ kind: 'git', url: source.dir, branch: null, commit: source.git('rev-parse', 'HEAD') });
    expect((await load()).code).toBe(6);
  });

  it('is prewarmed only when it is trusted', async () => {
    expect((await run(['prewarm', KEY])).code).toBe(6);
    await run(['config', 'trust', 'grant', KEY]);
    await load();
    expect((await run(['prewarm', KEY])).code).toBe(0);
  });
});

describe('a newer commit', () => {
  beforeEach(async () => {
    await load([], yes);
  });

  it('is not looked for by a launch', async () => {
    source.write('Dockerfile', `${DOCKERFILE}RUN true\n`);
    source.commit('Change');
    expect((await load()).stderr).not.toContain('newer');
    expect(builtDockerfiles()).toHaveLength(1);
  });

  it('that changes nothing that runs is taken without a question', async () => {
    source.write('README.md', 'Better.\n');
    const commit = source.commit('Docs');
    const { stdout } = await run(['role', 'update', KEY]);
    expect(stdout).toContain(`→ ${short(commit)} (what it runs is what was agreed to)`);
    expect((await load()).code).toBe(0);
  });

  it.each([
    ['the Dockerfile', { Dockerfile: `${DOCKERFILE}RUN curl example.test\n` }, 'RUN curl example.test'],
    ['the manifest', { 'jackin.role.toml': MANIFEST.replace('[kimi]', '[kimi]\nmodel = "k9"') }, 'model = "k9"'],
    ['a new hook', { 'jackin.role.toml': `${MANIFEST}[hooks]\nsource = "s.sh"\n`, 's.sh': 'export EVIL=1\n' }, 'export EVIL=1'],
    ['a file that the Dockerfile now copies', { Dockerfile: `${DOCKERFILE}COPY bin /usr/local/bin\n`, 'bin/x': 'evil\n' }, '+evil'],
  ])('that changes %s is shown and asked about; a no keeps the trusted one', async (_what, files, shown) => {
    const trusted = source.git('rev-parse', 'HEAD');
    for (const [name, text] of Object.entries(files)) source.write(name, text);
    const commit = source.commit('Change');
    const refused = await load(['--update'], { tty: true, input: 'n' });
    expect(refused.code).toBe(0);
    expect(refused.stderr).toContain(shown);
    expect(refused.stderr).toContain(`${short(trusted)}, which is trusted, is used`);
    const silent = await load();
    expect(silent.stderr).toContain(`${short(commit)} is newer and not trusted`);
    expect(builtDockerfiles()).toHaveLength(1);
    expect((await load([], yes)).code).toBe(0);
    expect(builtDockerfiles()).toHaveLength(2);
  });

  it('that changes a file which was copied before is asked about', async () => {
    source.write('Dockerfile', `${DOCKERFILE}COPY --chown=0:0 ["tools/a.sh", "/usr/local/bin/"]\n`);
    source.write('tools/a.sh', 'one\n');
    source.commit('Copies');
    await load(['--update'], yes);
    source.write('tools/b.sh', 'not copied\n');
    source.commit('Harmless');
    expect((await run(['role', 'update', KEY])).stdout).toContain('what it runs is what was agreed to');
    source.write('tools/a.sh', 'two\n');
    source.commit('Changes what is copied');
    expect((await run(['role', 'update', KEY])).stdout).toContain('is not trusted (what it runs has changed)');
  });

  it.each<[string, Record<string, string>, string]>([
    ['a hook that the manifest writes as ./hooks/s.sh', { 'jackin.role.toml': `${MANIFEST}[hooks]\nsetup_once = "./hooks/s.sh"\n` }, 'hooks/s.sh'],
    ['a hook that the manifest writes as hooks//s.sh', { 'jackin.role.toml': `${MANIFEST}[hooks]\nsetup_once = "hooks//s.sh"\n` }, 'hooks/s.sh'],
    ['a copied file in quotes', { Dockerfile: `${DOCKERFILE}COPY "tools/a.sh" /usr/local/bin/\n` }, 'tools/a.sh'],
    ['a copied file with an escape in its name', { Dockerfile: `${DOCKERFILE}COPY too\\ls/a.sh /usr/local/bin/\n` }, 'tools/a.sh'],
    ['a copied file by way of ..', { Dockerfile: `${DOCKERFILE}COPY hooks/../tools/a.sh /usr/local/bin/\n` }, 'tools/a.sh'],
    ['a copied file by way of /./', { Dockerfile: `${DOCKERFILE}COPY ./tools/.//a.sh /usr/local/bin/\n` }, 'tools/a.sh'],
    ['what stands behind a flag that holds --from=', { Dockerfile: `${DOCKERFILE}COPY --exclude=--from=x tools/a.sh /usr/local/bin/\n` }, 'tools/a.sh'],
    ['what stands behind an empty --from=', { Dockerfile: `${DOCKERFILE}COPY --from= tools/a.sh /usr/local/bin/\n` }, 'tools/a.sh'],
    ['what an escape before a foreign blank seems to swallow', { Dockerfile: `${DOCKERFILE}RUN echo \\\u00a0\nCOPY tools/a.sh /usr/local/bin/\n` }, 'tools/a.sh'],
    ['what a mount in another spelling brings', { Dockerfile: `${DOCKERFILE}RUN --mo"unt"=type=bind,target=/x sh /x/tools/a.sh\n` }, 'tools/a.sh'],
  ])('that changes %s is asked about', async (_what, files, changed) => {
    source.write('tools/a.sh', 'one\n');
    source.write('hooks/s.sh', '#!/bin/sh\n');
    for (const [name, text] of Object.entries(files)) source.write(name, text);
    await run(['config', 'trust', 'grant', KEY, '--commit', source.commit('What is trusted')]);
    source.write(changed, '#!/bin/sh\nevil\n');
    source.commit('Evil');
    expect((await run(['role', 'update', KEY])).stdout).toContain('is not trusted (what it runs has changed)');
  });

  it('is shown with the length of what is left out of a line, and without control characters in names', async () => {
    source.write('Dockerfile', `${DOCKERFILE}COPY . /x\nRUN true ${' '.repeat(200)} && evil\n`);
    source.write('a\n  source     elsewhere\u202e', 'x\n');
    source.commit('Harmless \u202e');
    const { stderr } = await load(['--update'], { tty: true, input: 'n' });
    expect(stderr).toMatch(/RUN true +… and \d+ more characters/);
    expect(stderr).not.toMatch(/\n {2}source {5}elsewhere/);
    expect(stderr).not.toContain('\u202e');
  });

  it('leaves the files of the one before to a launch that has begun', async () => {
    source.write('README.md', 'Better.\n');
    source.commit('Docs');
    await run(['role', 'update', KEY]);
    expect(await readdir(path.join(sandbox.jackinHome, 'roles', 'acme.backend', 'checkouts'))).toHaveLength(2);
  });

  it('in a rewritten history is asked about after --replace, also where the configuration trusts the role', async () => {
    await run(['config', 'trust', 'revoke', KEY]);
    await configure(source.dir, 'trusted = true\n');
    expect((await load()).code).toBe(0);
    source.git('checkout', '--quiet', '--orphan', 'new');
    source.commit('Rewritten');
    source.git('branch', '-M', 'main');
    await run(['role', 'update', KEY, '--replace'], { tty: true, input: 'n' });
    expect((await load()).code).toBe(6);
  });

  it('shows what decides most first, however many names come before it, and how to see the rest', async () => {
    source.write('Dockerfile', `${DOCKERFILE}COPY . /opt\n`);
    source.commit('Copies all');
    await load(['--update'], yes);
    for (const name of ['AAA1', 'AAA2', 'AAA3']) source.write(name, 'harmless\n'.repeat(40));
    source.write('Dockerfile', `${DOCKERFILE}COPY . /opt\nRUN evil\n`);
    source.commit('Many files');
    const { stderr } = await load(['--update'], { tty: true, input: 'n' });
    expect(stderr).toContain('+RUN evil');
    expect(stderr).toMatch(/more lines of AAA\d, and \d more files?\n.*all of it: git --git-dir .*repository\.git diff [0-9a-f]{40} [0-9a-f]{40}/);
  });

  it('in a rewritten history stops the update and goes on with what is trusted; --replace asks again', async () => {
    source.git('checkout', '--quiet', '--orphan', 'new');
    const commit = source.commit('Rewritten');
    source.git('branch', '-M', 'main');
    const { code, stderr } = await run(['role', 'update', KEY]);
    expect(code).toBe(8);
    expect(stderr).toContain('was rewritten');
    expect((await load()).code).toBe(0);
    expect((await run(['role', 'update', KEY, '--replace'])).stdout).toContain(`${short(commit)} was fetched and is not trusted`);
    expect((await load()).code).toBe(6);
    expect((await load([], yes)).code).toBe(0);
  });

  it('cannot be looked for while the source is away: a load says so and uses what is here, an update fails', async () => {
    await rm(source.dir, { recursive: true });
    const { code, stderr } = await load(['--update']);
    expect(code).toBe(0);
    expect(stderr).toContain('is used as it is cached, because nothing newer could be fetched');
    expect(await run(['role', 'update', KEY])).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be fetched') });
  });

  it('of one role is looked for although the source of another is away', async () => {
    const other = makeRoleRepository(path.join(sandbox.root, 'other'));
    await configure(source.dir, `[roles."acme/other"]\ngit = "${other.dir}"\n`);
    await run(['config', 'trust', 'grant', 'acme/other']);
    await run(['load', 'acme/other', '--prompt', 'hi']);
    source.write('README.md', 'Better.\n');
    const commit = source.commit('Docs');
    await rm(other.dir, { recursive: true });
    const { code, stdout } = await run(['role', 'update']);
    expect(code).toBe(1);
    expect(stdout).toContain(`→ ${short(commit)}`);
    expect(stdout).toContain('acme/other: failed: role acme/other cannot be fetched');
  });

  it('is recommended to be looked for when the last look is long ago', async () => {
    const later = { deps: { now: () => new Date('2026-12-21T12:00:00Z') } };
    expect((await load([], later)).stderr).toContain(`was last looked for 30 days ago; \`jackin role update ${KEY}\``);
  });
});

describe('what is cached', () => {
  beforeEach(async () => {
    await load([], yes);
  });
  const checkout = async () => {
    const dir = path.join(sandbox.jackinHome, 'roles', 'acme.backend', 'checkouts');
    return path.join(dir, (await readdir(dir))[0]!);
  };

  it('and was changed by hand is never built: it is written anew, and that is said', async () => {
    await appendFile(path.join(await checkout(), 'Dockerfile'), 'RUN evil\n');
    const { code, stderr } = await load(['--rebuild']);
    expect(code).toBe(0);
    expect(stderr).toContain('were changed: they were written anew');
    expect(builtDockerfiles().filter((text) => text.includes('evil'))).toEqual([]);
  });

  it('from another source than the configuration names stops a launch; --replace fetches from there and asks', async () => {
    const other = { dir: path.join(sandbox.root, 'elsewhere.git') };
    // The very same commits: it is whom they come from that was trusted.
    source.git('clone', '--quiet', '--bare', '.', other.dir);
    await configure(other.dir);
    const { code, stderr } = await load();
    expect(code).toBe(8);
    expect(stderr).toContain(`now comes from ${other.dir}, and what is cached is from ${source.dir}`);
    await run(['role', 'update', KEY, '--replace']);
    expect((await load()).code).toBe(6);
  });

  it('is built anew by --rebuild, and only then', async () => {
    expect((await load()).code).toBe(0);
    expect(builtDockerfiles()).toHaveLength(1);
    expect((await load(['--rebuild'])).code).toBe(0);
    expect(builtDockerfiles()).toHaveLength(2);
  });

  it('stays when it cannot be replaced', async () => {
    await rm(source.dir, { recursive: true });
    expect((await run(['role', 'update', KEY, '--replace'])).code).toBe(1);
    expect((await load()).code).toBe(0);
  });

  it('is rid of what a jackin that was killed has left', async () => {
    const dir = path.join(sandbox.jackinHome, 'roles', 'acme.backend');
    const left = ['repository.git-index-abcdef', 'repository.git-new', 'checkouts/0123456789ab.draft', 'repository.git/objects/pack/tmp_pack_x'].map((name) => path.join(dir, name));
    for (const place of left.slice(0, 3)) await mkdir(place);
    await writeFile(left[3]!, '');
    await run(['role', 'update', KEY]);
    for (const place of left) await expect(lstat(place)).rejects.toThrow(/ENOENT/);
  });

  it('holds the bytes of the commit, whatever a .gitattributes asks for', async () => {
    source.write('tools/a.sh', 'one $Id$ Ä\n');
    source.write('.git/info/attributes', '* -text -ident !working-tree-encoding\n');
    source.write('.gitattributes', '*.sh ident eol=crlf working-tree-encoding=ISO-8859-1\n');
    source.commit('Attributes');
    await load(['--update']);
    expect(await readFile(path.join(sandbox.jackinHome, 'roles', 'acme.backend', 'checkouts', source.git('rev-parse', 'HEAD'), 'tools', 'a.sh'), 'utf8')).toBe('one $Id$ Ä\n');
  });

  it('can be lost: what is trusted is still known', async () => {
    await rm(path.join(sandbox.jackinHome, 'roles'), { recursive: true });
    expect((await load()).code).toBe(0);
  });

  it('may be half there: a broken index is fetched anew', async () => {
    await writeFile(path.join(sandbox.jackinHome, 'roles', 'acme.backend', 'cache.json'), '{"version":');
    expect((await load()).code).toBe(0);
  });

  it('is no longer trusted after a revoke', async () => {
    expect((await run(['config', 'trust', 'revoke', KEY])).code).toBe(0);
    expect((await load()).code).toBe(6);
  });

  it('cannot be understood: whom to trust is not guessed', async () => {
    await writeFile(path.join(sandbox.jackinHome, 'trust.json'), '{"version": 2}');
    const { code, stderr } = await load();
    expect(code).toBe(1);
    expect(stderr).toContain('trust.json cannot be understood');
  });
});

describe('a branch', () => {
  it('has an image of its own, is asked about every time, and leaves the trusted role alone', async () => {
    await load([], yes);
    source.git('checkout', '--quiet', '-b', 'feat/x');
    source.write('Dockerfile', `${DOCKERFILE}RUN echo branch\n`);
    const commit = source.commit('On a branch');
    source.git('checkout', '--quiet', 'main');
    expect((await load(['--role-branch', 'feat/x'])).code).toBe(6);
    const asked = await load(['--role-branch', 'feat/x'], yes);
    expect(asked.code).toBe(0);
    expect(asked.stderr).toContain('branch     feat/x');
    expect((await load(['--role-branch', 'feat/x'])).code).toBe(6);
    expect((await load(['--role-branch', 'feat/x', '--trust', commit])).code).toBe(0);
    expect(builtDockerfiles().filter((text) => text.includes('echo branch'))).toHaveLength(1);
    expect((await dataOf(['role', 'list'])).roles.find(({ role }: { role: string }) => role === KEY).commit).toBe(source.git('rev-parse', 'main'));
  });

  it('is asked about even where it runs what is trusted', async () => {
    await load([], yes);
    source.git('checkout', '--quiet', '-b', 'docs');
    source.write('README.md', 'On a branch.\n');
    source.commit('Docs');
    expect((await load(['--role-branch', 'docs'])).code).toBe(6);
    expect((await load(['--role-branch', 'docs'], yes)).stderr).toContain('runs here what it runs at');
  });

  it('comes back by hardline as it was, without a question, wherever the branch is by then', async () => {
    source.git('checkout', '--quiet', '-b', 'feat/x');
    source.write('Dockerfile', `${DOCKERFILE}RUN echo branch\n`);
    const commit = source.commit('On a branch');
    const started = await run(['load', KEY, '--detach', '--role-branch', 'feat/x', '--trust', commit]);
    const id = started.stdout.trim();
    await run(['eject', id]);
    source.write('Dockerfile', `${DOCKERFILE}RUN echo more\n`);
    source.commit('The branch goes on');
    expect((await load(['--role-branch', 'feat/x'], yes)).code).toBe(0);
    const built = builtDockerfiles().length;
    const { code, stderr } = await run(['hardline', id, '--detach', '--no-input']);
    expect(stderr).toContain(`commit ${short(commit)}`);
    expect(code).toBe(0);
    expect(builtDockerfiles()).toHaveLength(built);
  });

  it.each(['--upload-pack=evil', 'a..b', '-x', 'x.lock', 'a b', '@{u}', 'HEAD'])('%j is no branch', async (name) => {
    expect((await load([`--role-branch=${name}`])).code).toBe(2);
  });

  it.each(['__proto__', 'constructor'])('may be called %s', async (name) => {
    source.git('branch', name);
    expect((await load(['--role-branch', name], yes)).code).toBe(0);
    await rm(path.join(sandbox.jackinHome, 'roles'), { recursive: true });
    await load([], yes);
    await rm(source.dir, { recursive: true });
    expect(await load(['--role-branch', name])).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be fetched') });
  });

  it('needs a role that has one', async () => {
    expect((await run(['load', 'agent-smith', '--role-branch', 'x', '--detach'])).code).toBe(2);
    expect((await run(['load', source.dir, '--role-branch', 'x', '--detach'])).code).toBe(2);
    expect(await load(['--role-branch', 'nosuch'])).toMatchObject({ code: 1, stderr: expect.stringContaining('branch nosuch of role acme/backend cannot be fetched') });
  });
});

/** Takes connections and says nothing. */
const deafServer = async (): Promise<{ server: Server; port: number }> => {
  const server = createServer((socket) => socket.unref().on('error', () => undefined));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
};

describe('a source', () => {
  it('of a role that may not run in the workspace is not fetched', async () => {
    await sandbox.write('config/workspaces/app.toml', `version = "v1alpha6"\nworkdir = "${sandbox.project}"\nallowed_roles = ["agent-smith"]\n[[mounts]]\nsrc = "${sandbox.project}"\ndst = "${sandbox.project}"\n`);
    expect(await run(['load', KEY, 'app', '--detach'])).toMatchObject({ code: 2, stderr: expect.stringContaining('does not allow the role') });
    await expect(readdir(path.join(sandbox.jackinHome, 'roles'))).rejects.toThrow(/ENOENT/);
  });

  it('that cannot be reached leaves nothing half there', async () => {
    await configure(path.join(sandbox.root, 'nowhere'));
    expect((await load()).code).toBe(1);
    expect(await readdir(path.join(sandbox.jackinHome, 'roles'))).toEqual([]);
  });

  it('that never answers is given up when the operator does, and leaves nothing', async () => {
    const { server, port } = await deafServer();
    try {
      await configure(`https://127.0.0.1:${port}/x.git`);
      const { code } = await load([], { env: { GIT_ALLOW_PROTOCOL: 'https' }, signal: AbortSignal.timeout(700) });
      expect(code).toBe(130);
      expect(await readdir(path.join(sandbox.jackinHome, 'roles'))).toEqual([]);
    } finally {
      server.close();
    }
  });

  it('can be fetched after a git that was killed in the middle', async () => {
    await load([], yes);
    const refs = path.join(sandbox.jackinHome, 'roles', 'acme.backend', 'repository.git', 'refs', 'jackin');
    await writeFile(path.join(refs, 'default.lock'), '');
    source.write('README.md', 'x\n');
    source.commit('More');
    expect((await run(['role', 'update', KEY])).code).toBe(0);
  });

  it('by convention is the repository jackin-<name> of the namespace, and one that is not there is not found', async () => {
    const { code, stderr } = await run(['load', 'chainargos/backend-engineer', '--detach']);
    expect(code).toBe(7);
    expect(stderr).toContain('https://github.com/chainargos/jackin-backend-engineer.git');
  });

  it('that two ask for at once and that is not there fails both for that reason', async () => {
    await configure(path.join(sandbox.root, 'nowhere'));
    const failed = await Promise.all([load(), load(), load()]);
    expect(failed.map(({ stderr }) => stderr.includes('cannot be fetched'))).toEqual([true, true, true]);
    expect(await readdir(path.join(sandbox.jackinHome, 'roles'))).toEqual([]);
  });

  it.each<[string, (ssh: string) => Promise<Record<string, string>>]>([
    ['core.sshCommand', async (ssh) => ({ GIT_CONFIG_GLOBAL: await sandbox.write('gitconfig', `[core]\nsshCommand = ${ssh} -i key\n`) })],
    ['GIT_SSH', (ssh) => Promise.resolve({ GIT_SSH: ssh })],
  ])('over ssh is reached by the operator’s own %s', async (_what, envOf) => {
    const ssh = await sandbox.write('ssh', `#!/bin/sh\necho "$@" >> ${sandbox.root}/called\nexit 1\n`);
    await chmod(ssh, 0o755);
    await configure('ssh://git@git.example.test/x.git');
    await load([], { env: { GIT_ALLOW_PROTOCOL: 'ssh', PATH: process.env.PATH ?? '', ...(await envOf(ssh)) } });
    expect(await sandbox.read('called')).toContain('git@git.example.test');
  });

  it('that is nearly the name of another role makes a suggestion', async () => {
    expect((await run(['load', 'agent-smyth', '--detach'])).stderr).toContain('agent-smith');
  });

  it.each(['ext::sh -c evil', 'git://example.test/x', 'file:///srv/x', 'http://example.test/x', 'https://user:pw@example.test/x', '-uevil', 'ssh://-oProxyCommand=evil/x', 'git@-oProxyCommand=evil:x', 'relative/x'])(
    '%j is refused by the configuration',
    async (url) => {
      await configure(url);
      expect((await load()).code).toBe(3);
    },
  );

  it('cannot make git run anything: settings, hooks, filters and templates of the operator and of the repository stay off', async () => {
    const marker = path.join(sandbox.root, 'ran');
    const evil = `touch ${marker}`;
    await mkdir(path.join(sandbox.root, 'template', 'hooks'), { recursive: true });
    for (const hook of ['post-checkout', 'post-merge', 'reference-transaction', 'fsmonitor']) {
      await writeFile(path.join(sandbox.root, 'template', 'hooks', hook), `#!/bin/sh\n${evil}\n`, { mode: 0o755 });
    }
    await writeFile(path.join(sandbox.root, 'gitconfig'), `[init]\ntemplateDir = ${sandbox.root}/template\n[core]\nhooksPath = ${sandbox.root}/template/hooks\nfsmonitor = ${sandbox.root}/template/hooks/fsmonitor\n[filter "lfs"]\nsmudge = ${evil}\nprocess = ${evil}\nrequired = true\n[filter "own"]\nsmudge = ${evil}\nclean = ${evil}\n[diff "own"]\ntextconv = ${evil}\ncommand = ${evil}\n[submodule]\nrecurse = true\n[diff]\nexternal = ${evil}\n`);
    source.write('.gitattributes', '*.bin filter=lfs\nDockerfile filter=own diff=own\n');
    source.write('x.bin', 'pointer\n');
    source.write('.gitmodules', '[submodule "x"]\n\tpath = x\n\turl = ../evil\n');
    source.commit('Attributes');
    source.git('config', 'core.fsmonitor', `${sandbox.root}/template/hooks/fsmonitor`);
    const settings = { env: { GIT_CONFIG_GLOBAL: path.join(sandbox.root, 'gitconfig') } };
    expect((await load([], { ...yes, ...settings })).code).toBe(0);
    source.write('Dockerfile', `${DOCKERFILE}RUN true\n`);
    source.commit('Change');
    expect((await load(['--update'], { ...yes, ...settings })).stderr).toContain('+RUN true');
    await expect(readFile(marker)).rejects.toThrow(/ENOENT/);
  });

  it('of a role whose name would be more than a line is refused', async () => {
    source.write('jackin.role.toml', `${MANIFEST}[identity]\nname = "x\\nlogin      forged"\n`);
    source.commit('Name');
    expect((await load(['--dry-run'])).code).toBe(3);
  });

  it('with a link in it is refused by name, and nothing that it leads to is shown', async () => {
    const secret = await sandbox.write('secret', 'canary = "sk-canary"\n');
    source.git('rm', '--quiet', 'jackin.role.toml');
    const { symlinkSync } = await import('node:fs');
    symlinkSync(secret, path.join(source.dir, 'jackin.role.toml'));
    source.commit('Link');
    const { code, stderr } = await load([], yes);
    expect(code).toBe(2);
    expect(stderr).toContain('is a link');
    expect(stderr).not.toContain('canary');
  });
});

it('two first loads at once: both run, and the role is fetched once', async () => {
  await run(['config', 'trust', 'grant', KEY]);
  await rm(path.join(sandbox.jackinHome, 'roles'), { recursive: true, force: true });
  const ended = await Promise.all([load(), load()]);
  expect(ended.map(({ code, stderr }) => (code === 0 ? 0 : stderr))).toEqual([0, 0]);
});
