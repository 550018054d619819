import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine } from '../fakes/engine.ts';
import { makeRoleRepository } from '../fakes/role-repository.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox } from './run.ts';

const installation = useInstallation();

/** Each of these names a program, or a file that git would read or write. */
const EVIL = [
  'core.fsmonitor', 'core.sshCommand', 'core.pager', 'core.editor', 'core.askPass', 'core.gitProxy', 'core.alternateRefsCommand', 'credential.helper',
  'diff.external', 'diff.x.textconv', 'diff.x.command', 'filter.x.clean', 'filter.x.smudge', 'filter.x.process', 'merge.x.driver', 'gpg.program', 'alias.config',
  'remote.origin.uploadpack', 'remote.origin.vcs', 'uploadpack.packObjectsHook', 'sequence.editor', 'interactive.diffFilter', 'pager.config',
]; // prettier-ignore

/** Name, kind, time of change and content of everything below a folder. */
const treeOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort().map((name) => {
    const stat = lstatSync(path.join(folder, name));
    return `${name} ${stat.mode} ${stat.mtimeMs} ${stat.ctimeMs} ${stat.isFile() ? readFileSync(path.join(folder, name), 'latin1') : ''}`;
  });

it('no command runs git on the host in a mounted repository, runs what it names, or changes it', async () => {
  const sandbox = await makeSandbox();
  const marker = path.join(sandbox.root, 'ran');
  const app = path.join(sandbox.project, 'app');
  const { git, write } = makeRoleRepository(app, { '.gitmodules': '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% ran\n', '.gitattributes': '* filter=x diff=x merge=x\n' });
  for (const key of EVIL) git('config', key, `touch ${marker}`);
  git('config', 'branch.main.remote', 'origin');
  git('config', 'branch.main.merge', 'refs/heads/main');
  git('config', 'remote.origin.url', 'https://127.0.0.1:1/x');
  git('config', 'core.hooksPath', '.git/hooks');
  git('config', 'core.worktree', sandbox.home);
  for (const hook of ['post-checkout', 'post-merge', 'pre-commit', 'reference-transaction', 'post-index-change', 'fsmonitor-watchman']) {
    write(`.git/hooks/${hook}`, `#!/bin/sh\ntouch ${marker}\n`, 0o755);
  }
  const log = path.join(sandbox.root, 'git.log');
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(path.join(sandbox.root, 'bin'));
  writeFileSync(path.join(sandbox.root, 'bin/git'), `#!/bin/sh\necho "$PWD|$GIT_DIR|$GIT_COMMON_DIR|$*" >> ${log}\nexec "${real}" "$@"\n`, { mode: 0o755 });
  const before = treeOf(app);
  const { env, deps } = installation();
  const engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
  const run = (...argv: string[]) => sandbox.run(argv, { engine, env: { ...env, PATH: `${path.join(sandbox.root, 'bin')}:${process.env['PATH']}` }, deps, cwd: app });
  const mount = ['--workdir', app, '--mount', app];
  for (const argv of [
    ['workspace', 'create', 'shop', ...mount, '--git-pull'],
    ['workspace', 'edit', 'shop', '--git-pull'],
    ['workspace', 'show', 'shop'],
    ['load', 'agent-smith', 'shop', '--dry-run'],
    ['load', 'agent-smith', 'shop', '--prompt', 'hi'],
    ['load', 'agent-smith', app, '--detach'],
    ['config', 'explain'],
    ['config', 'validate'],
    ['auth', 'status'],
    ['status'],
    ['hardline', 'agent-smith', '--inspect'],
    ['role', 'list'],
    ['prewarm', 'agent-smith', '--agent', 'kimi'],
    ['eject', '--all'],
    ['hardline', 'agent-smith'],
    ['eject', '--all', '--purge'],
    ['workspace', 'remove', 'shop', '--yes'],
  ]) {
    await run(...argv);
    // Named, so that a failure says which command it was.
    expect([argv.join(' '), existsSync(marker)]).toEqual([argv.join(' '), false]);
  }
  const calls = readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split('|') as [string, string, string, string]);
  expect(calls.length).toBeGreaterThan(5);
  const isInRepository = ([cwd, gitDir, commonDir, args]: [string, string, string, string]): boolean =>
    // For the identity git is told the place alone, and reads the settings of another, empty repository.
    cwd.startsWith(sandbox.project) || args.includes(app) || (gitDir.startsWith(app) && !path.basename(commonDir).startsWith('jackin-git-'));
  expect(calls.filter(isInRepository)).toEqual([]);
  expect(treeOf(app)).toEqual(before);
});
