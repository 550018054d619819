import { execFileSync } from 'node:child_process';
import { appendFile, chmod, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
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
  await sandbox.write('config/config.toml', `version = "v1alpha6"\n[roles."${KEY}"]\ngit = ${JSON.stringify(source.dir)}\n`);
});

const run = (argv: string[], options: RunOptions = {}) => {
  const { env, deps } = installation();
  return sandbox.run(argv, { engine, ...options, env: { ...env, ...options.env }, deps: { ...deps, ...options.deps } });
};
const load = (words: string[] = [], options: RunOptions = {}) => run(['load', KEY, '--prompt', 'hi', ...words], options);
const yes = { tty: true, input: 'y' };
const short = (commit: string) => commit.slice(0, 12);
/** For a pattern. */
const literally = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
const head = () => source.git('rev-parse', 'HEAD');
const cacheAt = (...names: string[]) => path.join(sandbox.jackinHome, 'roles', 'acme.backend', ...names);
const listed = async () => {
  const { roles } = JSON.parse((await run(['role', 'list', '--format', 'json'])).stdout).data;
  return roles.find(({ role }: { role: string }) => role === KEY);
};

const gitWith = (input: string | Buffer, ...argv: string[]): string => execFileSync('git', ['-C', source.dir, ...argv], { input, encoding: 'utf8' }).trim();
/** A tree as it is written down, whatever git thinks of its names. */
const rawTree = (entries: [mode: string, name: string | Buffer, object: string][]): string => {
  const sortKey = ([mode, name]: [string, string | Buffer, string]) => Buffer.concat([Buffer.from(name), Buffer.from(mode === '40000' ? '/' : '')]);
  const sorted = [...entries].sort((one, other) => Buffer.compare(sortKey(one), sortKey(other)));
  const parts = sorted.flatMap(([mode, name, object]) => [Buffer.from(`${mode} `), Buffer.from(name), Buffer.from([0]), Buffer.from(object, 'hex')]);
  return gitWith(Buffer.concat(parts), 'hash-object', '-t', 'tree', '--literally', '-w', '--stdin');
};
/** Moves the branch on to a commit of this tree. */
const commitTree = (tree: string): string => {
  const commit = source.git('-c', 'user.name=Ann', 'commit-tree', tree, '-p', 'HEAD', '-m', 'Odd');
  source.git('update-ref', 'refs/heads/main', commit);
  return commit;
};
const blob = (text: string): string => gitWith(text, 'hash-object', '-w', '--stdin');
/** The files of the role, and one more entry. */
const withEntry = (mode: string, name: string | Buffer, object: string): string => {
  const files = ['Dockerfile', 'README.md', 'jackin.role.toml'].map((file): [string, string, string] => ['100644', file, source.git('rev-parse', `HEAD:${file}`)]);
  return commitTree(rawTree([...files, [mode, name, object]]));
};
const treeOf = (count: number, object: string): string => gitWith(`${Array.from({ length: count }, (_, index) => `100644 blob ${object}\tf${index}`).join('\n')}\n`, 'mktree');

const written = (file: string, text: string) => (): string => {
  source.write(file, text);
  return source.commit('Broken');
};

/** A way to break a role, and what is said of it. */
type Breakage = [kind: string, commit: () => string | Promise<string>, why: string];

const BROKEN: Breakage[] = [
  ['a link', async () => {
    await symlink('/etc/passwd', path.join(source.dir, 'lnk'));
    return source.commit('Link');
  }, 'lnk is a link: a build context holds plain files only'],
  ['a manifest that is no TOML', written('jackin.role.toml', `${MANIFEST}=\n`), 'jackin.role.toml:6:1: not valid TOML'],
  ['a manifest that breaks two rules', written('jackin.role.toml', `${MANIFEST}modle = "k"\nauth_forward = "sync"\n`), 'jackin.role.toml:6:1: unknown key "modle" in [kimi]; did you mean "model"? (and 1 more)'],
  ['a manifest of a newer version', written('jackin.role.toml', MANIFEST.replace('v1alpha6', 'v1alpha99')), 'jackin.role.toml:1:1: version'],
  ['a manifest of thousands of unknown keys', written('jackin.role.toml', `${Array.from({ length: 3000 }, (_, index) => `k${index} = 1`).join('\n')}\n${MANIFEST}`), 'jackin.role.toml:1:1: unknown key "k0"'],
  ['no manifest', () => {
    source.git('rm', '--quiet', 'jackin.role.toml');
    return source.commit('Gone');
  }, 'it has no jackin.role.toml'],
  ['no Dockerfile', () => {
    source.git('rm', '--quiet', 'Dockerfile');
    return source.commit('Gone');
  }, 'dockerfile: there is no Dockerfile in the role'],
  ['a Dockerfile on another base', written('Dockerfile', 'FROM debian:trixie\n'), 'Dockerfile:1: the final FROM is debian:trixie'],
  ['a Dockerfile that does not end', written('Dockerfile', `${DOCKERFILE}RUN x \\`), 'Dockerfile:2: this instruction does not end'],
  ['a hook that is not there', written('jackin.role.toml', `${MANIFEST}[hooks]\nsource = "s.sh"\n`), 'hooks.source: there is no s.sh in the role'],
  ['more files than a role may have', () => withEntry('40000', 'x', treeOf(50_001, blob('x'))), 'the repository holds 50004 files'],
  ['more bytes than a role may have', () => withEntry('40000', 'x', treeOf(1100, blob('x'.repeat(1024 * 1024)))), 'files with 1100 MiB'],
  ['more files than can be counted', () => {
    let bomb = treeOf(10, blob('x'));
    for (let depth = 0; depth < 9; depth += 1) bomb = gitWith(`${Array.from({ length: 10 }, (_, index) => `040000 tree ${bomb}\t${index}`).join('\n')}\n`, 'mktree');
    return withEntry('40000', 'x', bomb);
  }, 'too much for a role'],
  ['a name that is no UTF-8', () => withEntry('100644', Buffer.from([0x7a, 0xff]), blob('x')), 'whose name is no UTF-8'],
  ['a name that is too long for a file', () => withEntry('100644', 'z'.repeat(300), blob('x')), 'unable to create file zzz'],
];

describe.each(BROKEN)('a newest commit with %s', (_kind, breakRole, why) => {
  it('takes no trusted role away, and every command says in one line what is wrong', async () => {
    const id = (await run(['load', KEY, '--detach'], yes)).stdout.trim();
    expect(id).toMatch(/^\w+$/);
    const trusted = head();
    await run(['eject', id]);
    const broken = await breakRole();
    const sentence = (start: string, end: string) => new RegExp(`^${start}${literally(why)}.*; ${short(trusted)}, which is ${end}$`, 'm');
    const note = sentence(`note +role ${KEY}: the newest commit ${short(broken)} is broken: .*`, 'trusted, is used');
    const offered = sentence(`${KEY}: ${short(broken)} was fetched and is broken: .*`, 'trusted, stays in use');

    const updated = await run(['role', 'update', KEY]);
    expect(updated).toMatchObject({ code: 1, stdout: expect.stringMatching(offered), stderr: expect.not.stringMatching(/error|hint|nothing was changed/) });
    expect((await run(['role', 'list'])).stdout).toContain(`${short(trusted)}  ${short(broken)} (broken)`);
    expect((await listed()).newest_broken).toContain(why);
    for (const words of [['--update'], [], ['--trust', broken]]) {
      expect([words, await load(words, yes)]).toMatchObject([words, { code: 0, stderr: expect.stringMatching(note) }]);
    }
    expect(await run(['hardline', id, '--detach'])).toMatchObject({ code: 0, stderr: expect.stringMatching(note) });
    expect(await run(['prewarm', KEY])).toMatchObject({ code: 0, stderr: expect.stringMatching(note) });

    const granted = await run(['config', 'trust', 'grant', KEY]);
    expect([granted.code === 0, granted.stderr]).toEqual([false, expect.stringContaining(`role ${KEY} is broken at ${short(broken)}`)]);
    expect((await listed()).commit).toBe(trusted);

    expect(await run(['role', 'pin', KEY])).toMatchObject({ code: 0, stdout: expect.stringContaining(`is pinned at ${short(trusted)}`), stderr: expect.stringMatching(note) });
    expect((await load(['--locked'])).code).toBe(0);
    expect(await run(['role', 'update', KEY])).toMatchObject({ code: 1, stdout: expect.stringMatching(sentence(`${KEY}: ${short(broken)} was fetched and is broken: .*`, 'pinned, stays in use')) });
    const checkouts = await readdir(cacheAt('checkouts'));
    expect(checkouts).toContain(trusted);
    expect(checkouts.filter((name) => name !== trusted && name !== broken)).toEqual([]);
  }, 120_000);

  it('is followed by a good one, which is offered as usual', async () => {
    await load([], yes);
    const trusted = head();
    await breakRole();
    expect((await run(['role', 'update', KEY])).code).toBe(1);
    const good = commitTree(gitWith(`${source.git('ls-tree', trusted).replace(/[0-9a-f]{40}\tDockerfile/, `${blob(`${DOCKERFILE}RUN true\n`)}\tDockerfile`)}\n`, 'mktree'));
    const { code, stdout } = await run(['role', 'update', KEY]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`${short(good)} was fetched and is not trusted (what it runs has changed)`)]);
    expect((await listed()).newest_broken).toBeNull();
    expect(await load([], yes)).toMatchObject({ code: 0, stderr: expect.stringContaining('+RUN true') });
    expect((await listed()).commit).toBe(good);
  }, 120_000);

  it('of a role that was never trusted is an error that says what is wrong with it', async () => {
    const broken = await breakRole();
    const { code, stderr } = await load([], yes);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(new RegExp(`role ${KEY} is broken at ${short(broken)} \\(${source.dir}\\): .*${literally(why)}`, 'm'));
    expect(stderr).not.toMatch(/nothing was changed|Trust acme/);
    expect(engine.dockerfiles).toEqual([]);
    expect((await listed()).trusted).toBe(false);
  }, 120_000);
});

describe('a newest commit that is only odd', () => {
  it.each<[string, () => string]>([
    ['a submodule', () => withEntry('160000', 'x', head())],
    ['a name with a line break', () => withEntry('100644', 'x\n  source     elsewhere', blob('x'))],
    ['a name with a backslash and blanks', () => withEntry('100644', '..\\x ', blob('x'))],
    ['attributes that name programs', () => withEntry('100644', '.gitattributes', blob('* filter=own diff=own merge=own text eol=crlf working-tree-encoding=UTF-16 export-subst\n'))],
  ])('is used: %s', async (_what, commitOdd) => {
    await load([], yes);
    const commit = commitOdd();
    expect(await run(['role', 'update', KEY])).toMatchObject({ code: 0, stdout: expect.stringContaining(`→ ${short(commit)} (what it runs is what was agreed to)`) });
    expect((await load()).code).toBe(0);
    expect(await readFile(cacheAt('checkouts', commit, 'Dockerfile'), 'utf8')).toBe(DOCKERFILE);
  });
});

describe('a newest commit that git does not take', () => {
  const refused: [string, () => string, string][] = [
    ['an entry .git', () => withEntry('40000', '.git', treeOf(1, blob('x'))), 'hasDotgit'],
    ['an entry .GIT', () => withEntry('40000', '.GIT', treeOf(1, blob('x'))), 'hasDotgit'],
    ['an entry ..', () => withEntry('40000', '..', treeOf(1, blob('x'))), 'hasDotdot'],
    ['an entry with slashes', () => withEntry('100644', '../../../evil', blob('x')), 'fullPathname'],
    ['a link for its .gitmodules', () => withEntry('120000', '.gitmodules', blob('/etc/passwd')), 'gitmodulesSymlink'],
    ['a .gitmodules with an option for a URL', () => withEntry('100644', '.gitmodules', blob('[submodule "x"]\n\tpath = x\n\turl = -u./evil\n')), 'gitmodulesUrl'],
    ['an object that the source cannot read', () => {
      const object = blob('lost');
      const commit = withEntry('100644', 'x', object);
      execFileSync('rm', ['-f', path.join(source.dir, '.git', 'objects', object.slice(0, 2), object.slice(2))]);
      return commit;
    }, ''],
  ];

  it.each(refused)('takes no trusted role away: %s', async (_what, commitOdd, complaint) => {
    await load([], yes);
    const trusted = head();
    commitOdd();
    const updated = await run(['role', 'update', KEY]);
    expect(updated).toMatchObject({ code: 1, stderr: expect.stringContaining(`role ${KEY} cannot be fetched from ${source.dir}`) });
    expect(updated.stderr).toContain('what is cached stays in use');
    expect(updated.stderr).toContain(complaint);
    expect(await listed()).toMatchObject({ commit: trusted, newest: trusted });
    expect(await load(['--update'])).toMatchObject({ code: 0, stderr: expect.stringMatching(new RegExp(`^note +role ${KEY} is used as it is cached, because nothing newer could be fetched: .*${complaint}`, 'm')) });
    expect((await run(['prewarm', KEY])).code).toBe(0);
    expect((await readdir(sandbox.root)).sort()).toEqual(['config', 'home', 'jackin', 'project', 'source']);
  });

  it('takes no trusted role away: a history that was rewritten', async () => {
    await load([], yes);
    source.git('checkout', '--quiet', '--orphan', 'new');
    source.commit('Rewritten');
    source.git('branch', '-M', 'main');
    expect(await load(['--update'])).toMatchObject({ code: 0, stderr: expect.stringMatching(/^note .*nothing newer could be fetched: the history of role acme\/backend was rewritten/m) });
    expect((await run(['prewarm', KEY])).code).toBe(0);
  });
});

describe('a trusted commit', () => {
  let trusted: string;
  beforeEach(async () => {
    source.write('tools/a.sh', 'one\n');
    trusted = source.commit('Tools');
    await load([], yes);
  });
  const file = () => cacheAt('checkouts', trusted, 'Dockerfile');

  it.each<[string, () => Promise<unknown>]>([
    ['was changed', () => appendFile(file(), 'RUN evil\n')],
    ['is half gone', () => rm(file())],
    ['is gone', () => rm(cacheAt('checkouts', trusted), { recursive: true })],
    ['is gone with all others', () => rm(cacheAt('checkouts'), { recursive: true })],
    ['has one file more', () => writeFile(cacheAt('checkouts', trusted, 'tools', 'b.sh'), 'evil\n')],
    ['has a link in it', () => symlink('/etc/passwd', cacheAt('checkouts', trusted, 'lnk'))],
    ['has another mode', () => chmod(cacheAt('checkouts', trusted, 'tools', 'a.sh'), 0o755)],
    ['is a file', async () => {
      await rm(cacheAt('checkouts', trusted), { recursive: true });
      await writeFile(cacheAt('checkouts', trusted), 'x');
    }],
  ])('whose checkout %s is written anew, and nothing else is built', async (_what, damage) => {
    await damage();
    const { code, stderr } = await load(['--rebuild']);
    expect([code, stderr]).toEqual([0, expect.stringMatching(new RegExp(`^note +the cached files of role ${KEY} at ${short(trusted)} were changed: they were written anew$`, 'm'))]);
    expect(engine.dockerfiles.filter((text) => text.includes('evil'))).toEqual([]);
    expect(await readFile(file(), 'utf8')).toBe(DOCKERFILE);
    expect((await readdir(cacheAt('checkouts', trusted, 'tools')))).toEqual(['a.sh']);
    expect((await load()).stderr).not.toContain('written anew');
  });

  it('whose checkout was changed is written anew while the newest commit is broken', async () => {
    source.write('jackin.role.toml', '=\n');
    source.commit('Broken');
    await run(['role', 'update', KEY]);
    await appendFile(file(), 'RUN evil\n');
    expect(await load()).toMatchObject({ code: 0, stderr: expect.stringContaining('which is trusted, is used') });
    expect(await readFile(file(), 'utf8')).toBe(DOCKERFILE);
  });

  it('stays in use while an object of the newest commit is gone from the cache, or the whole repository', async () => {
    const objects = async () => (await readdir(cacheAt('repository.git', 'objects'), { recursive: true })).filter((name) => /[0-9a-f]{38}/.test(name));
    const before = await objects();
    source.write('Dockerfile', `${DOCKERFILE}RUN true\n`);
    const newest = source.commit('Change');
    await run(['role', 'update', KEY, '--no-input']);
    await rm(cacheAt('checkouts', newest), { recursive: true });
    for (const name of (await objects()).filter((one) => !before.includes(one))) await rm(cacheAt('repository.git', 'objects', name));
    const note = new RegExp(`^note +role ${KEY}: the newest commit ${short(newest)} is broken: git could not read .*; ${short(trusted)}, which is trusted, is used$`, 'm');
    expect(await load()).toMatchObject({ code: 0, stderr: expect.stringMatching(note) });
    await rm(cacheAt('repository.git'), { recursive: true });
    expect(await load()).toMatchObject({ code: 0, stderr: expect.stringMatching(note) });
  });

  it('that neither the checkouts nor the repository hold as they were is an error, and --replace heals it', async () => {
    await rm(cacheAt('repository.git'), { recursive: true });
    await appendFile(file(), 'RUN evil\n');
    const { code, stderr } = await load();
    expect([code, stderr]).toEqual([1, expect.stringContaining('git could not read what is cached of the role')]);
    expect((await run(['role', 'update', KEY, '--replace'])).code).toBe(0);
    expect((await load()).code).toBe(0);
    expect(engine.dockerfiles.filter((text) => text.includes('evil'))).toEqual([]);
  });

  it('for which the cached repository gives other files than at first is an error', async () => {
    const evil = makeRoleRepository(path.join(sandbox.root, 'evil'), { Dockerfile: `${DOCKERFILE}RUN evil\n` });
    const looseAt = (dir: string, object: string) => path.join(dir, 'objects', object.slice(0, 2), object.slice(2));
    const packs = cacheAt('repository.git', 'objects', 'pack');
    const [pack = ''] = (await readdir(packs)).filter((name) => name.endsWith('.pack'));
    const packed = await readFile(path.join(packs, pack));
    await rm(packs, { recursive: true });
    execFileSync('git', ['--git-dir', cacheAt('repository.git'), 'unpack-objects', '-q'], { input: packed });
    const place = looseAt(cacheAt('repository.git'), source.git('rev-parse', 'HEAD:Dockerfile'));
    await chmod(place, 0o600);
    await writeFile(place, await readFile(looseAt(path.join(evil.dir, '.git'), evil.git('rev-parse', 'HEAD:Dockerfile'))));
    await rm(cacheAt('checkouts'), { recursive: true });
    const { code, stderr } = await load();
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/repository\.git was changed|git could not read what is cached/);
    expect(engine.dockerfiles.filter((text) => text.includes('evil'))).toEqual([]);
  });
});
