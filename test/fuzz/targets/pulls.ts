import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { Engine, ExecHandle } from '../../../src/docker/engine.ts';
import { readAgreedRemotes } from '../../../src/launch/git-pull/agreed-remotes.ts';
import { bringIn } from '../../../src/launch/git-pull/bring-in.ts';
import { readFollowedBranch, whyNotFetched } from '../../../src/launch/git-pull/followed-branch.ts';
import { promise, target, type Target } from '../target.ts';
import { place, scratchDir } from './files.ts';

const COMMIT = 'a'.repeat(40);

const CONFIG = `[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = git@git.example.test:acme/app.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/main\n`;

const isPlain = (text: string): boolean => !/[\p{Cc}\s]|^-/u.test(text);

const readSettings = async (input: Buffer): Promise<void> => {
  const repository = scratchDir('repository');
  place(path.join(repository, '.git', 'HEAD'), Buffer.from('ref: refs/heads/main\n'));
  place(path.join(repository, '.git', 'config'), input);
  const followed = await readFollowedBranch(repository, { env: process.env });
  promise(followed !== undefined, 'a repository that is there was not seen');
  if ('why' in followed!) return;
  const { branch, remote, remoteBranch, address } = followed!;
  promise([branch, remote, remoteBranch, address].every(isPlain), 'a word that git could take for an option, or for two');
  promise(whyNotFetched(address) === undefined, 'an address that is not fetched from');
};

/** A container in which the program says what an agent likes. */
const saying = (input: Buffer): Engine => {
  const handle: ExecHandle = { stdin: new PassThrough().resume(), stdout: Readable.from([input]), stderr: Readable.from([]), exitCode: () => Promise.resolve(0) };
  return { exec: () => Promise.resolve(handle) } as unknown as Engine;
};

const hear = async (input: Buffer): Promise<void> => {
  const fetched = { commit: COMMIT, directory: scratchDir('bundles'), bundle: async (_haves: readonly string[], file: string) => place(file, Buffer.from('x')) };
  const from = { address: 'git@git.example.test:x', remote: 'origin', remote_branch: 'main', branch: 'main' };
  const pull = { directory: '/a', target: '/a', state: 'agreed' as const, why: '', from };
  const said = await bringIn(fetched as unknown as Parameters<typeof bringIn>[0], { engine: saying(input), container: 'jk-a', pull, signal: new AbortController().signal });
  promise(said.length < 500 && !/\p{Cc}/u.test(said), 'more than a line reaches a person');
};

export const PULL_TARGETS: readonly Target[] = [
  target({ name: 'git-config', count: 60, covers: ['src/launch/git-pull/followed-branch.ts'], form: 'lines', seeds: () => [CONFIG], allows: () => false, run: readSettings }),
  target({
    name: 'agreed-remotes',
    count: 500,
    covers: ['src/launch/git-pull/agreed-remotes.ts'],
    form: 'json',
    seeds: () => [JSON.stringify({ version: 1, repositories: { '/a': { address: 'git@git.example.test:x', at: '2026-01-01T00:00:00Z' } } })],
    run: async (input) => {
      const jackinHome = scratchDir('agreed');
      place(path.join(jackinHome, 'pulls', 'agreed.json'), input);
      promise([...(await readAgreedRemotes({ jackinHome })).values()].every((address) => typeof address === 'string'), 'an address that is no text');
    },
  }),
  target({
    name: 'pull-report',
    count: 300,
    covers: ['src/launch/git-pull/bring-in.ts'],
    form: 'lines',
    seeds: () => [`${JSON.stringify({ haves: [COMMIT] })}\n${JSON.stringify({ outcome: 'updated', commits: 3 })}\n`, `${JSON.stringify({ outcome: 'not', commits: 0, why: 'x' })}\n`],
    allows: () => false,
    run: hear,
  }),
];
