/** The trailers of commits, with real git and the bundled hook. */
import { execFile, type ExecFileException } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { prepareGitHooks } from '../../../src/capsule/home/git-hooks.ts';
import { bundleForTest } from './run-capsule.ts';

let bundle: string;
let root: string;
let repo: string;
let variables: Record<string, string>;
/** Added to the environment of every command. */
let more: Record<string, string>;

beforeAll(async () => {
  bundle = await bundleForTest();
  const hook = path.join(bundle, 'git-hook.mjs');
  // In the container it is Node's own place; here it is this one.
  await writeFile(hook, (await readFile(hook, 'utf8')).replace('/jackin/runtime/bin/node', process.execPath));
  await chmod(hook, 0o755);
});
afterAll(() => rm(bundle, { recursive: true, force: true }));

const KIMI = 'Co-authored-by: Kimi <noreply@moonshot.ai>';
const CLAUDE = 'Co-authored-by: Claude <noreply@anthropic.com>';
const SIGNED = 'Signed-off-by: Neo Anderson <neo@example.test>';

interface Done {
  code: number;
  stdout: string;
  stderr: string;
}

const run = (program: string, args: string[], cwd = repo): Promise<Done> =>
  new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], HOME: root, GIT_CONFIG_GLOBAL: path.join(root, 'gitconfig'), GIT_CONFIG_SYSTEM: '/dev/null', GIT_EDITOR: 'true', LANG: 'C.UTF-8', JACKIN_AGENT: 'kimi', ...variables, ...more };
    const child = execFile(program, args, { cwd, env, encoding: 'latin1' }, (error: ExecFileException | null, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }));
    child.stdin?.end();
  });
const git = (...args: string[]): Promise<Done> => run('git', args);
const ok = async (...args: string[]): Promise<string> => {
  const done = await git(...args);
  expect({ args, ...done }).toMatchObject({ code: 0 });
  return done.stdout;
};
const message = async (revision = 'HEAD'): Promise<string> => (await ok('log', '-1', '--format=%B', revision)).trimEnd();
const change = async (text: string, file = 'file'): Promise<void> => {
  await writeFile(path.join(repo, file), text);
  await ok('add', '-A');
};
const commit = async (text: string, ...args: string[]): Promise<string> => {
  await change(text);
  await ok('commit', '-m', text, ...args);
  return message();
};
const script = async (file: string, text: string): Promise<string> => {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
};
const trailers = (on: { coauthor: boolean; dco: boolean }) =>
  prepareGitHooks({ github: { mode: 'ignore' }, trailers: on }, path.join(root, 'state'), {}, path.join(bundle, 'git-hook.mjs'));

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'jackin-git-hook-'));
  repo = path.join(root, 'repo');
  more = {};
  variables = {};
  await mkdir(repo);
  await writeFile(path.join(root, 'gitconfig'), '[user]\n\tname = Neo Anderson\n\temail = neo@example.test\n[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n');
  await ok('init', '-q');
  await change('first');
  await ok('commit', '-q', '-m', 'first, without trailers');
  variables = await trailers({ coauthor: true, dco: true });
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('a commit of an agent', () => {
  it('names the agent and who signs it off, from every source of a message', async () => {
    expect(await commit('second')).toBe(`second\n\n${KIMI}\n${SIGNED}`);
    // Amended, reused, and once more: nothing is doubled.
    await ok('commit', '--amend', '--no-edit');
    expect(await message()).toBe(`second\n\n${KIMI}\n${SIGNED}`);
    await change('third');
    await ok('commit', '-q', '-C', 'HEAD');
    expect(await message()).toBe(`second\n\n${KIMI}\n${SIGNED}`);
    await change('fourth');
    await writeFile(path.join(root, 'message'), 'from a file\n\nwith a body\n');
    await ok('commit', '-q', '-F', path.join(root, 'message'));
    expect(await message()).toBe(`from a file\n\nwith a body\n\n${KIMI}\n${SIGNED}`);
    await change('fifth');
    await ok('commit', '-q', '--no-verify', '-m', 'not verified');
    expect(await message()).toBe(`not verified\n\n${KIMI}\n${SIGNED}`);
  });

  it('typed in an editor, with the diff below it', async () => {
    more = { GIT_EDITOR: await script(path.join(root, 'editor'), 'printf "typed\\n" | cat - "$1" > "$1.new" && mv "$1.new" "$1"') };
    await change('by hand');
    await ok('commit', '-v');
    expect(await message()).toBe(`typed\n\n${KIMI}\n${SIGNED}`);
    await change('with another sign');
    await ok('-c', 'core.commentChar=;', 'commit', '-v');
    expect(await message()).toBe(`typed\n\n${KIMI}\n${SIGNED}`);
  });

  it('that is left empty is aborted, and so is a template that nobody fills in', async () => {
    await change('nothing to say');
    expect((await git('commit')).code).toBe(1);
    await writeFile(path.join(root, 'template'), 'Subject:\n\n# help\n');
    for (const how of [['-c', `commit.template=${path.join(root, 'template')}`, 'commit'], ['commit', '-t', path.join(root, 'template')]]) {
      expect(await git(...how)).toMatchObject({ code: 1, stderr: expect.stringContaining('did not edit') as string });
    }
    more = { GIT_EDITOR: await script(path.join(root, 'editor'), 'sed -i "s/Subject:/filled in/" "$1"') };
    await ok('-c', `commit.template=${path.join(root, 'template')}`, 'commit');
    expect(await message()).toBe(`filled in\n\n${KIMI}\n${SIGNED}`);
  });

  it('that merges, squashes, picks, reverts and rebases', async () => {
    await ok('checkout', '-q', '-b', 'side');
    await change('a', 'a');
    await ok('commit', '-q', '-m', 'side one');
    more = { JACKIN_AGENT: 'claude' };
    await change('b', 'b');
    await ok('commit', '-q', '-m', 'side two');
    more = {};
    await ok('checkout', '-q', 'main');
    await change('c', 'c');
    await ok('commit', '-q', '-m', 'main one');
    await ok('merge', '-q', '--no-ff', '-m', 'merged', 'side');
    expect(await message()).toBe(`merged\n\n${KIMI}\n${SIGNED}`);
    await ok('reset', '-q', '--hard', 'HEAD~1');
    // Both agents of the squashed commits are in the last block, each once.
    await ok('merge', '-q', '--squash', 'side');
    await ok('commit', '-q', '--no-edit');
    const squashed = await message();
    expect(squashed.split('\n').filter((line) => /-by:/.test(line.trim())).map((line) => line.trim()).sort()).toEqual([CLAUDE, KIMI, SIGNED].sort());
    expect(squashed.slice(squashed.lastIndexOf('\n\n')).trim().split('\n').sort()).toEqual([CLAUDE, KIMI, SIGNED].sort());
    await ok('reset', '-q', '--hard', 'HEAD~1');
    await ok('cherry-pick', 'side');
    expect(await message()).toBe(`side two\n\n${CLAUDE}\n${SIGNED}\n${KIMI}`);
    await ok('revert', '--no-edit', 'HEAD');
    expect((await message()).endsWith(`${KIMI}\n${SIGNED}`)).toBe(true);
    more = { GIT_SEQUENCE_EDITOR: 'sed -i "2s/pick/squash/"' };
    await ok('checkout', '-q', 'side');
    await ok('rebase', '-q', '-i', 'main~2');
    const final = (await message()).split('\n').filter((line) => /-by:/.test(line));
    expect(new Set(final).size).toBe(final.length);
  });

  it('keeps everybody else’s trailers, and folds doubled ones', async () => {
    await change('with others');
    await ok('commit', '-q', '-m', `subject\n\nbody\n\n${CLAUDE}\n\nmore body\n\nReviewed-by: Trinity <t@example.test>\n${CLAUDE}\nChange-Id: I123`);
    const lines = (await message()).split('\n');
    expect(lines.slice(0, 5)).toEqual(['subject', '', 'body', '', 'more body']);
    expect(lines.slice(6)).toEqual(['Reviewed-by: Trinity <t@example.test>', 'Change-Id: I123', CLAUDE, KIMI, SIGNED]);
    await ok('commit', '-q', '--amend', '--no-edit');
    expect((await message()).split('\n')).toEqual(lines);
  });

  it('keeps a line of dashes and other encodings as they are', async () => {
    await change('bytes');
    await writeFile(path.join(root, 'message'), Buffer.from('caf\xe9\r\n\r\n---\r\nSigned-off-by: N\xe9o <neo@example.test>\r\n\r\nnot the end\r\n', 'latin1'));
    await ok('-c', 'i18n.commitEncoding=ISO-8859-1', 'commit', '-q', '-F', path.join(root, 'message'));
    const text = (await ok('-c', 'i18n.logOutputEncoding=ISO-8859-1', 'log', '-1', '--format=%B')).trimEnd();
    expect(text.startsWith('caf\xe9')).toBe(true);
    expect(text.endsWith(`\n\nnot the end\n\nSigned-off-by: N\xe9o <neo@example.test>\n${KIMI}`)).toBe(true);
  });

  it('that is left empty is aborted by an editor that does nothing, too', async () => {
    await change('nothing to say');
    more = { GIT_EDITOR: ':' };
    expect(await git('commit')).toMatchObject({ code: 1, stderr: expect.stringContaining('empty commit message') as string });
    expect(await git('-c', 'core.commentChar=;', 'commit')).toMatchObject({ code: 1 });
  });

  it('keeps lines that begin with a comment’s sign where git keeps them', async () => {
    expect(await commit('#12: fixed')).toBe(`#12: fixed\n\n${KIMI}\n${SIGNED}`);
    await change('closes');
    await ok('commit', '-q', '-m', 'fixed', '-m', '#12 is closed');
    expect(await message()).toBe(`fixed\n\n#12 is closed\n\n${KIMI}\n${SIGNED}`);
    // Git takes another sign then; the diff below its scissors must not swallow the trailers.
    more = { GIT_EDITOR: await script(path.join(root, 'editor'), 'sed -i "1s/fixed/typed/" "$1"') };
    variables = { ...variables, JACKIN_AGENT: 'claude' };
    await ok('-c', 'core.commentChar=auto', 'commit', '-v', '--amend');
    expect(await message()).toBe(`typed\n\n#12 is closed\n\n${KIMI}\n${SIGNED}\n${CLAUDE}`);
  });

  it('is not changed by settings for other trailers', async () => {
    await ok('config', 'trailer.ifmissing', 'doNothing');
    await ok('config', 'trailer.separators', '=#');
    await ok('config', 'trailer.sign.key', 'Signed-off-by: ');
    await ok('config', 'trailer.sign.command', 'touch "$HOME/ran"; echo somebody');
    expect(await commit('x')).toBe(`x\n\n${KIMI}\n${SIGNED}`);
    await expect(readFile(path.join(root, 'ran'))).rejects.toThrow('ENOENT');
  });

  it('quotes a trailer without losing it', async () => {
    expect(await commit(`x\n\nSuch as:\n\n    ${SIGNED}\n\nin the end.`)).toBe(`x\n\nSuch as:\n\n    ${SIGNED}\n\nin the end.\n\n${KIMI}\n${SIGNED}`);
  });

  it('is made in a project whose NODE_OPTIONS fit no other Node, and its hooks have them', async () => {
    more = { NODE_OPTIONS: '--require /nowhere/of the project.cjs' };
    await script(path.join(repo, '.git/hooks/commit-msg'), 'echo "$NODE_OPTIONS|$JACKIN_NODE_OPTIONS" > "$HOME/options"');
    expect(await commit('x')).toBe(`x\n\n${KIMI}\n${SIGNED}`);
    expect(await readFile(path.join(root, 'options'), 'utf8')).toBe('--require /nowhere/of the project.cjs|\n');
  });

  it('without a name is made, without a sign-off, and that is said', async () => {
    await writeFile(path.join(root, 'gitconfig'), '[init]\n\tdefaultBranch = main\n');
    more = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x@example.test', GIT_COMMITTER_NAME: 'x', GIT_COMMITTER_EMAIL: 'x@example.test' };
    await change('nobody');
    expect(await git('commit', '-q', '-m', 'nobody')).toMatchObject({ code: 0, stderr: expect.stringMatching(/^jackin: no Signed-off-by is added[^\n]*\n$/) as string });
    expect(await message()).toBe(`nobody\n\n${KIMI}`);
  });
});

describe('only what was asked for', () => {
  it.each([
    [{ coauthor: true, dco: false }, 'kimi', [KIMI]],
    [{ coauthor: false, dco: true }, 'kimi', [SIGNED]],
    // A shell beside the agents: a person commits.
    [{ coauthor: true, dco: true }, '', [SIGNED]],
    [{ coauthor: true, dco: false }, 'codex', ['Co-authored-by: Codex <codex@openai.com>']],
    [{ coauthor: true, dco: false }, 'amp', ['Co-authored-by: Amp <amp@ampcode.com>']],
    [{ coauthor: true, dco: false }, 'opencode', ['Co-authored-by: opencode-agent[bot] <opencode-agent[bot]@users.noreply.github.com>']],
  ])('%j for %j', async (on, agent, expected) => {
    variables = await trailers(on);
    more = { JACKIN_AGENT: agent };
    expect(await commit('x')).toBe(`x\n\n${expected.join('\n')}`);
  });

  it('off again adds nothing, and in sessions that run the repository’s own hooks still do', async () => {
    const before = variables;
    variables = await trailers({ coauthor: false, dco: false });
    expect(variables).toEqual({});
    expect(await commit('x')).toBe('x');
    variables = before;
    expect(await commit('y')).toBe('y');
    await script(path.join(repo, '.git/hooks', 'commit-msg'), 'exit 3');
    await change('z');
    expect((await git('commit', '-q', '-m', 'z')).code).toBe(1);
  });

  it('a setting that somebody passed to git goes on', async () => {
    const parameters = (await prepareGitHooks({ github: { mode: 'ignore' }, trailers: { coauthor: true, dco: false } }, path.join(root, 'state'), { GIT_CONFIG_PARAMETERS: "'user.name=Trinity'" }, path.join(bundle, 'git-hook.mjs')))['GIT_CONFIG_PARAMETERS'];
    variables = { ...variables, GIT_CONFIG_PARAMETERS: parameters! };
    expect(await ok('config', 'user.name')).toBe('Trinity\n');
    expect(await commit('x')).toContain('Signed-off-by: Trinity <neo@example.test>');
  });
});

describe('the repository’s own hooks', () => {
  const places: [string, () => Promise<string>][] = [
    ['in .git/hooks', async () => path.join(repo, '.git/hooks')],
    [
      'in a directory of its own',
      async () => {
        await ok('config', 'core.hooksPath', '.husky');
        return path.join(repo, '.husky');
      },
    ],
    [
      'somewhere else',
      async () => {
        await ok('config', 'core.hooksPath', path.join(root, 'elsewhere'));
        return path.join(root, 'elsewhere');
      },
    ],
  ];

  it.each(places)('run %s, with their arguments, and may change the message', async (_, place) => {
    const directory = await place();
    await script(path.join(directory, 'prepare-commit-msg'), 'echo "own $2" >> "$1"');
    await script(path.join(directory, 'commit-msg'), 'grep -q moonshot "$1" && echo seen > "$(git rev-parse --show-toplevel)/../seen"');
    await script(path.join(directory, 'pre-commit'), 'echo "$0" > "$(git rev-parse --show-toplevel)/../pre"');
    await script(path.join(directory, 'post-commit'), 'echo done > "$(git rev-parse --show-toplevel)/../post"');
    expect(await commit('x')).toBe(`x\nown message\n\n${KIMI}\n${SIGNED}`);
    expect(await readFile(path.join(root, 'seen'), 'utf8')).toBe('seen\n');
    expect((await readFile(path.join(root, 'pre'), 'utf8')).trim()).toMatch(/pre-commit$/);
    expect(await readFile(path.join(root, 'post'), 'utf8')).toBe('done\n');
  });

  it.each(['pre-commit', 'prepare-commit-msg', 'commit-msg'])('%s that fails stops the commit', async (hook) => {
    await script(path.join(repo, '.git/hooks', hook), 'echo no >&2; exit 3');
    await change('x');
    expect(await git('commit', '-q', '-m', 'x')).toMatchObject({ code: 1, stderr: expect.stringContaining('no') as string });
    await chmod(path.join(repo, '.git/hooks', hook), 0o644);
    await ok('commit', '-q', '-m', 'x');
  });

  it('run also while another session is being prepared', async () => {
    const place = path.join(root, 'state', 'git-hooks', 'run-own-hook');
    const modes = new Set<number>();
    const prepared = new AbortController();
    const look = async (): Promise<void> => {
      while (!prepared.signal.aborted) modes.add((await stat(place)).mode & 0o777);
    };
    const looking = look();
    for (let n = 0; n < 200; n += 1) await trailers({ coauthor: true, dco: true });
    prepared.abort();
    await looking;
    expect([...modes]).toEqual([0o755]);
  });

  it('do not keep git from updating the files that are pushed to', async () => {
    await ok('config', 'receive.denyCurrentBranch', 'updateInstead');
    await ok('clone', '-q', repo, path.join(root, 'clone'));
    const pushed = repo;
    repo = path.join(root, 'clone');
    await commit('pushed');
    // On the way to another repository git drops the setting; a server that a session has started has it.
    const server = await script(path.join(root, 'server'), 'GIT_CONFIG_PARAMETERS="$SERVER_PARAMETERS" exec git-receive-pack "$@"');
    more = { SERVER_PARAMETERS: variables['GIT_CONFIG_PARAMETERS']! };
    await ok('push', '-q', `--receive-pack=${server}`, 'origin', 'HEAD:main');
    expect(await readFile(path.join(pushed, 'file'), 'utf8')).toBe('pushed');
  });

  it('get what git pipes into them, in linked worktrees too', async () => {
    await script(path.join(repo, '.git/hooks', 'pre-push'), 'cat > "$HOME/pushed"; echo "$1" >> "$HOME/pushed"');
    await ok('init', '-q', '--bare', path.join(root, 'bare'));
    await ok('remote', 'add', 'origin', path.join(root, 'bare'));
    await ok('worktree', 'add', '-q', '-b', 'linked', path.join(root, 'linked'));
    repo = path.join(root, 'linked');
    expect(await commit('linked')).toContain(KIMI);
    await ok('push', '-q', 'origin', 'linked');
    expect(await readFile(path.join(root, 'pushed'), 'utf8')).toMatch(/^refs\/heads\/linked [0-9a-f]+ .*\norigin\n$/);
  });
});
