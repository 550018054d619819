import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine } from '../fakes/engine.ts';
import { type GitServer, startGitServer } from '../fakes/git-server.ts';
import { withPullProgram } from '../fakes/pull-program.ts';
import { gitEnv, makeRoleRepository, type RoleRepository } from '../fakes/role-repository.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();

let served: Sandbox;
let server: GitServer;
let sandbox: Sandbox;
let source: RoleRepository;
let clone: string;
let address: string;
/** Runs when the container is up, right before the program in it starts. */
let inContainer: () => void;

beforeAll(async () => {
  const folder = path.join(process.env['TMPDIR'] ?? '/tmp', `jackin-served-${process.pid}`);
  mkdirSync(folder);
  served = { root: folder } as Sandbox;
  server = await startGitServer(folder);
});
afterAll(async () => {
  await server.close();
  rmSync(served.root, { recursive: true });
});

const git = (...args: string[]): string =>
  execFileSync('git', ['-C', clone, '-c', 'safe.directory=*', ...args], { env: { ...gitEnv, ...server.env }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** Without the server, which runs in this very process. */
const cloneTo = (folder: string): void => {
  execFileSync('git', ['clone', '--quiet', source.dir, folder], { env: gitEnv });
  execFileSync('git', ['-C', folder, 'remote', 'set-url', 'origin', address], { env: gitEnv });
};

beforeEach(async () => {
  sandbox = await makeSandbox();
  const name = path.basename(sandbox.root);
  source = makeRoleRepository(path.join(served.root, name), { a: '1\n' });
  address = server.url(`${name}/.git`);
  clone = path.join(sandbox.root, 'project', 'app');
  cloneTo(clone);
  source.write('a', '2\n');
  source.commit('two');
  inContainer = () => undefined;
});

const run = (argv: string[], options: RunOptions = {}) => {
  const { env, deps } = installation();
  const engine = fakeEngine({ images: ['debian:trixie'], exec: withPullProgram(fakeCapsule().exec, () => inContainer()) });
  return sandbox.run(argv, { engine, ...options, env: { ...env, ...server.env, GIT_ALLOW_PROTOCOL: 'https', GIT_CONFIG_GLOBAL: path.join(sandbox.root, 'gitconfig'), ...options.env }, deps: { ...deps, ...options.deps } });
};
const create = (...flags: string[]) => run(['workspace', 'create', 'shop', '--workdir', clone, '--mount', clone, ...flags]);
const load = (options: RunOptions = {}) => run(['load', 'agent-smith', 'shop', '--prompt', 'hi'], options);
const inClone = (file: string) => readFileSync(path.join(clone, file), 'utf8');
const line = (stderr: string) => stderr.split('\n').filter((one) => one.startsWith('git        ') && one.includes(clone));
/** Everything of a folder by name, kind and content. */
const treeOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort().map((name) => {
    const full = path.join(folder, name);
    return `${name} ${lstatSync(full).isFile() ? readFileSync(full, 'latin1') : ''}`;
  });

describe('a workspace whose repositories are pulled', () => {
  it('brings new commits into the working tree before the agent starts', async () => {
    expect((await create('--git-pull')).stderr).toContain(`${clone} is pulled from ${address}`);
    const { code, stderr } = await load();
    expect(code).toBe(0);
    expect(stderr).toContain(`git        ${clone}: pulled main, 1 new commit\n`);
    expect(inClone('a')).toBe('2\n');
    expect(git('status', '--porcelain=v2', '--branch')).toContain('# branch.ab +0 -0');
    expect((await load()).stderr).toContain(`git        ${clone}: main is up to date`);
  });

  it('keeps work that is not committed, beside new commits or in their place', async () => {
    await create('--git-pull');
    writeFileSync(path.join(clone, 'mine'), 'untracked');
    writeFileSync(path.join(clone, 'README.md'), 'changed');
    expect((await load()).stderr).toContain('pulled main');
    expect([inClone('a'), inClone('mine'), inClone('README.md')]).toEqual(['2\n', 'untracked', 'changed']);
    source.write('README.md', 'theirs');
    source.commit('three');
    const { code, stderr } = await load();
    expect(code).toBe(0);
    expect(stderr).toMatch(/not pulled: Your local changes to the following files would be overwritten/);
    expect(inClone('README.md')).toBe('changed');
  });

  it('leaves a branch with commits of its own alone', async () => {
    await create('--git-pull');
    writeFileSync(path.join(clone, 'mine'), 'x');
    git('add', '.');
    git('commit', '--quiet', '-m', 'mine');
    const before = git('rev-parse', 'HEAD');
    expect((await load()).stderr).toContain('not pulled: main has commits of its own');
    expect(git('rev-parse', 'HEAD')).toBe(before);
    git('reset', '--quiet', '--hard', 'origin/main');
    expect((await load()).stderr).toContain('main is up to date');
  });

  it('leaves alone what git LFS and other filters would have to write', async () => {
    source.write('.gitattributes', '*.bin filter=lfs\n');
    source.commit('lfs');
    await create('--git-pull');
    expect((await load()).stderr).toContain('not pulled: its .gitattributes names filters, such as git LFS');
    expect(inClone('a')).toBe('1\n');
  });

  it('runs no hook and follows no setting of the repository, on the host or inside', async () => {
    await create('--git-pull');
    const marker = path.join(sandbox.root, 'ran');
    for (const hook of ['post-merge', 'post-checkout', 'reference-transaction', 'pre-merge-commit']) {
      writeFileSync(path.join(clone, '.git', 'hooks', hook), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
    }
    git('config', 'merge.autoStash', 'true');
    writeFileSync(path.join(clone, 'a'), 'mine');
    expect((await load()).stderr).toContain('not pulled: Your local changes');
    expect(inClone('a')).toBe('mine');
    git('checkout', '--quiet', 'a');
    rmSync(marker, { force: true });
    expect((await load()).stderr).toContain('pulled main');
    expect(() => lstatSync(marker)).toThrow('ENOENT');
  });

  it('says why nothing came, and starts the agent all the same', async () => {
    await create('--git-pull');
    renameSync(source.dir, `${source.dir}-away`);
    const { code, stdout, stderr } = await load();
    expect(code).toBe(0);
    expect(stdout).toContain('hello');
    expect(stderr).toMatch(/not pulled: .*not found/);
    renameSync(`${source.dir}-away`, source.dir);
    git('checkout', '--quiet', '--detach');
    expect((await load()).stderr).toContain('not pulled: no branch is checked out');
    git('checkout', '--quiet', '-b', 'own', 'HEAD');
    expect((await load()).stderr).toContain('not pulled: its branch own follows no branch of a remote');
  });

  it('heals what a git that was killed has left', async () => {
    await create('--git-pull');
    await load();
    const [bare] = readdirSync(path.join(sandbox.jackinHome, 'pulls')).filter((name) => name.endsWith('.git'));
    const at = (...parts: string[]) => path.join(sandbox.jackinHome, 'pulls', bare!, ...parts);
    for (const left of [at('refs/jackin/fetched.lock'), at('packed-refs.lock'), at('objects/pack/tmp_pack_1')]) writeFileSync(left, '');
    // Of a process that is no more: no pid is as high.
    const bundle = path.join(sandbox.jackinHome, 'pulls', '.bundle.4194999-1.0123456789ab.tmp');
    mkdirSync(bundle);
    writeFileSync(path.join(bundle, 'new.bundle'), 'half');
    source.write('a', '3\n');
    source.commit('three');
    expect((await load()).stderr).toContain('pulled main, 1 new commit');
    expect(readdirSync(path.join(sandbox.jackinHome, 'pulls')).sort()).toEqual(['agreed.json', bare!].sort());
  });

  it('brings them once where two loads come at the same moment', async () => {
    await create('--git-pull');
    const both = await Promise.all([load(), load()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(inClone('a')).toBe('2\n');
    expect(git('status', '--porcelain')).toBe('');
    expect(readdirSync(path.join(sandbox.jackinHome, 'pulls'))).toHaveLength(2);
  });

  it('ends with Ctrl-C where a server never answers, and leaves nothing running', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).unref());
    await new Promise<void>((resolve) => {
      silent.listen(0, '127.0.0.1', resolve);
    });
    onTestFinished(() => void silent.close());
    git('remote', 'set-url', 'origin', `https://127.0.0.1:${(silent.address() as AddressInfo).port}/x`);
    await create('--git-pull');
    const { code } = await load({ signal: AbortSignal.timeout(1500) });
    expect(code).toBe(130);
  });
});

describe('the address that a repository is pulled from', () => {
  it('is asked about at the first pull, and remembered', async () => {
    await create();
    await sandbox.write('config/workspaces/shop.toml', (await sandbox.read('config/workspaces/shop.toml')).replace('workdir', 'git_pull_on_entry = true\nworkdir'));
    const skipped = await load();
    expect(skipped.code).toBe(0);
    expect(line(skipped.stderr)).toEqual([`git        ${clone}: not pulled: nobody has agreed to its address ${address}; \`jackin workspace edit shop --git-pull\` agrees to it`]);
    const refused = await load({ tty: true, input: 'n' });
    expect(refused.stderr).toContain('not pulled: nobody has agreed');
    expect(inClone('a')).toBe('1\n');
    const agreed = await load({ tty: true, input: 'y' });
    expect(agreed.stderr).toContain('pulled main, 1 new commit');
    expect((await load()).stderr).toContain('main is up to date');
  });

  it('is not followed when the repository names another one: an agent may have written it', async () => {
    await create('--git-pull');
    const secret = makeRoleRepository(path.join(served.root, `${path.basename(sandbox.root)}-secret`), { TOPSECRET: 'x' });
    const other = server.url(`${path.basename(secret.dir)}/.git`);
    git('config', 'remote.origin.url', other);
    const requests = server.requests.length;
    const { code, stderr } = await load();
    expect(code).toBe(0);
    expect(line(stderr)).toEqual([
      `git        ${clone}: not pulled: its address is ${other} now, and ${address} was agreed to; \`jackin workspace edit shop --git-pull\` agrees to it`,
    ]);
    expect(server.requests).toHaveLength(requests);
    expect(await run(['workspace', 'edit', 'shop', '--git-pull'])).toMatchObject({ code: 0, stderr: expect.stringContaining(`is pulled from ${other}`) as string });
  });

  it('is forgotten with --no-git-pull and with the workspace, and so is what was fetched', async () => {
    for (const forget of [['workspace', 'edit', 'shop', '--no-git-pull'], ['workspace', 'remove', 'shop', '--yes']]) {
      await create('--git-pull');
      await load();
      const pulls = () => readdirSync(path.join(sandbox.jackinHome, 'pulls'));
      expect(pulls().filter((name) => name.endsWith('.git'))).toHaveLength(1);
      expect((await run(forget)).code).toBe(0);
      expect(pulls()).toEqual(['agreed.json']);
      expect(JSON.parse(await sandbox.read('jackin/pulls/agreed.json')).repositories).toEqual({});
      await run(['workspace', 'remove', 'shop', '--yes']);
    }
  });

  it('is agreed to for two workspaces at once without losing one', async () => {
    const second = path.join(sandbox.root, 'project', 'other');
    cloneTo(second);
    await Promise.all([create('--git-pull'), run(['workspace', 'create', 'two', '--workdir', second, '--mount', second, '--git-pull'])]);
    expect(Object.keys(JSON.parse(await sandbox.read('jackin/pulls/agreed.json')).repositories).sort()).toEqual([clone, second].sort());
  });

  it.each([
    ['a program', 'ext::sh -c touch% ran', 'neither an https nor an ssh address'],
    ['a place on this machine', '/srv/app.git', 'neither an https nor an ssh address'],
    ['a file URL', 'file:///srv/app.git', 'neither an https nor an ssh address'],
    ['a relative place', '../app', 'neither an https nor an ssh address'],
    ['an option', '--upload-pack=touch ran', 'neither an https nor an ssh address'],
    ['a host that is an option of ssh', 'ssh://-oProxyCommand=touch/x', 'not pulled'],
    ['a password', 'https://me:s3cret-canary@git.example.test/app', 'holds a password'],
  ])('is refused when it is %s', async (_what, url, why) => {
    git('config', 'remote.origin.url', url);
    const created = await create('--git-pull');
    const { code, stderr } = await load();
    expect(code).toBe(0);
    expect(stderr).toContain(why);
    expect(created.stderr + stderr).not.toContain('s3cret-canary');
    expect(() => lstatSync(path.join(clone, 'ran'))).toThrow('ENOENT');
  });

  it('cannot be read where the record is damaged: nothing is pulled, the launch goes on', async () => {
    await create('--git-pull');
    await sandbox.write('jackin/pulls/agreed.json', '{');
    const { code, stderr } = await load();
    expect(code).toBe(0);
    expect(stderr).toContain('not pulled: cannot read');
    await run(['workspace', 'edit', 'shop', '--git-pull']);
    expect((await load()).stderr).toContain('pulled main');
  });
});

describe('a repository that an agent has prepared', () => {
  /** Each of them made jackin 0.1.0 read, write or run something outside of the repository. */
  it.each<[string, (outside: string) => void]>([
    ['FETCH_HEAD is a link', (outside) => symlinkSync(`${outside}/file`, path.join(clone, '.git/FETCH_HEAD'))],
    ['the log of HEAD is a link', (outside) => {
      rmSync(path.join(clone, '.git/logs/HEAD'));
      symlinkSync(`${outside}/file`, path.join(clone, '.git/logs/HEAD'));
    }],
    ['the refs of the remote are a link', (outside) => {
      rmSync(path.join(clone, '.git/refs/remotes/origin'), { recursive: true });
      mkdirSync(`${outside}/empty`);
      symlinkSync(`${outside}/empty`, path.join(clone, '.git/refs/remotes/origin'));
    }],
    ['objects are a link', (outside) => {
      rmSync(path.join(clone, '.git/objects'), { recursive: true });
      symlinkSync(outside, path.join(clone, '.git/objects'));
    }],
    ['HEAD is a link', (outside) => {
      rmSync(path.join(clone, '.git/HEAD'));
      symlinkSync(`${outside}/file`, path.join(clone, '.git/HEAD'));
    }],
    ['config is a link', (outside) => {
      rmSync(path.join(clone, '.git/config'));
      symlinkSync(`${outside}/file`, path.join(clone, '.git/config'));
    }],
    ['.git is a link', (outside) => {
      renameSync(path.join(clone, '.git'), `${outside}/git`);
      symlinkSync(`${outside}/git`, path.join(clone, '.git'));
    }],
    ['.git is a file', (outside) => {
      renameSync(path.join(clone, '.git'), `${outside}/git`);
      writeFileSync(path.join(clone, '.git'), `gitdir: ${outside}/git\n`);
    }],
    ['the configuration includes another file', (outside) => {
      git('config', 'include.path', `${outside}/file`);
    }],
    ['a directory of files is a link', (outside) => {
      source.write('dir/x', 'theirs');
      source.commit('dir');
      symlinkSync(outside, path.join(clone, 'dir'));
    }],
  ])('changes nothing outside of it on the host: %s', async (_what, prepare) => {
    await create('--git-pull');
    const outside = path.join(sandbox.root, 'outside');
    mkdirSync(outside);
    writeFileSync(path.join(outside, 'file'), '[user]\n\tname = "x; touch pwned;"\n');
    prepare(outside);
    const before = treeOf(outside);
    // The part inside has the container's walls around it; here it would be this test's own process.
    inContainer = () => {
      expect(treeOf(outside)).toEqual(before);
      throw new Error('enough was seen');
    };
    expect((await load()).code).toBe(0);
    expect(treeOf(outside)).toEqual(before);
  });

  it('is not asked twice: a configuration that is exchanged after it was read changes nothing', async () => {
    await create('--git-pull');
    const marker = path.join(sandbox.root, 'ran');
    const bin = path.join(sandbox.root, 'bin');
    const config = path.join(clone, '.git/config');
    // The git that lists the settings sees harmless ones; from then on the evil ones stand there.
    await sandbox.write('evil', `${readFileSync(config, 'utf8')}\n[remote "origin"]\n\tuploadpack = touch ${marker}; git-upload-pack\n[filter "x"]\n\tsmudge = touch ${marker}\n`);
    writeFileSync(path.join(clone, '.git/info/attributes'), '* filter=x\n');
    inContainer = () => {
      expect(() => lstatSync(marker)).toThrow('ENOENT');
      throw new Error('enough was seen');
    };
    const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
    await sandbox.write('bin/git', `#!/bin/sh\n"${real}" "$@"\ncode=$?\ncase "$*" in *--list*) cp ${sandbox.root}/evil ${config};; esac\nexit $code\n`);
    execFileSync('chmod', ['755', path.join(bin, 'git')]);
    const { code } = await load({ env: { PATH: `${bin}:${process.env['PATH']}` } });
    expect(code).toBe(0);
    expect(readFileSync(config, 'utf8')).toContain('uploadpack');
    expect(() => lstatSync(marker)).toThrow('ENOENT');
  });
});

describe('a container that answers as an agent likes', () => {
  const answering = (said: string) => {
    const { env, deps } = installation();
    const engine = fakeEngine({
      images: ['debian:trixie'],
      exec: (request) => {
        if (!request.argv.some((argument) => argument.endsWith('/pull.mjs'))) return fakeCapsule().exec(request);
        request.stdin.resume();
        request.stdout.end(said);
        return 0;
      },
    });
    return sandbox.run(['load', 'agent-smith', 'shop', '--prompt', 'hi'], { engine, env: { ...env, ...server.env, GIT_ALLOW_PROTOCOL: 'https' }, deps });
  };

  it.each([
    ['no words', '', 'has ended without a word'],
    ['garbage', 'what?\n', 'not pulled: '],
    ['ids that are options', `${JSON.stringify({ haves: ['--output=/etc/passwd'] })}\n`, 'not pulled: '],
    ['endless output', `${'x'.repeat(200_000)}\n`, 'not pulled: '],
    ['escape sequences', `${JSON.stringify({ outcome: 'not', commits: 0, why: 'a\u001b]52;c;x\u0007\nlogin      forged' })}\n`, 'not pulled: a login forged'],
  ])('is believed nothing beyond a line: %s', async (_what, said, expected) => {
    await create('--git-pull');
    const { code, stderr } = await answering(said);
    expect(code).toBe(0);
    expect(stderr).toContain(expected);
    expect(stderr).not.toMatch(/\u001b\]52|^login {6}forged/m);
  });
});

describe('the plan', () => {
  it('shows what is pulled from where, and what has not been agreed to', async () => {
    await create('--git-pull');
    const plan = JSON.parse((await run(['load', 'agent-smith', 'shop', '--dry-run', '--format', 'json'])).stdout).data;
    expect(plan.pulls).toEqual([
      { directory: clone, target: clone, state: 'agreed', why: 'the address was agreed to', from: { address, remote: 'origin', remote_branch: 'main', branch: 'main' } },
    ]);
    expect((await run(['load', 'agent-smith', 'shop', '--dry-run'])).stdout).toContain(`git        ${clone}: main is pulled from ${address}`);
  });
});
