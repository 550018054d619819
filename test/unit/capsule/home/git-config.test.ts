import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareGit } from '../../../../src/capsule/home/git-config.ts';
import type { GitSetup } from '../../../../src/capsule/protocol.ts';
import { installFake } from '../../../fakes/install.ts';
import { contentOf, makeTemporaryDir } from '../../../fixtures/kimi/tree.ts';

const HOSTS = 'github.com:\n    oauth_token: gho_fake\n    user: octocat\n';

let root: string;
let home: string;
let state: string;
let image: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  [home, state, image] = ['home', 'state', 'image-gitconfig'].map((name) => path.join(root, name)) as [string, string, string];
  await mkdir(path.join(home, '.config/gh'), { recursive: true });
  await mkdir(state);
  await writeFile(image, '[safe]\n\tdirectory = *\n[user]\n\tname = Of The Image\n[core]\n\teditor = image\n');
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

const logIn = async (): Promise<void> => {
  await installFake(path.join(root, "bin's"), 'gh');
  await writeFile(path.join(home, '.config/gh/hosts.yml'), HOSTS);
};

/** What the container has before; git's own complaints in a language that can be compared. */
const containerEnv = (more: Record<string, string> = {}): Record<string, string> => ({
  PATH: `${path.join(root, "bin's")}:/usr/bin:/bin`,
  HOME: home,
  GIT_CONFIG_SYSTEM: image,
  GIT_TERMINAL_PROMPT: '0',
  ...more,
});

const prepare = async (github: GitSetup['github'], more: { env?: Record<string, string>; identity?: GitSetup['identity'] } = {}) => {
  const env = containerEnv(more.env);
  const { variables, why } = await prepareGit({ github, ...(more.identity && { identity: more.identity }) }, { home, state }, env);
  const git = async (args: string[], input = ''): Promise<string> => (await execa('git', args, { cwd: root, env: { ...env, ...variables }, extendEnv: false, input, reject: false })).stdout;
  const passwordFor = async (host: string): Promise<string | undefined> =>
    /^password=(.*)$/m.exec(await git(['credential', 'fill'], `protocol=https\nhost=${host}\n\n`))?.[1];
  return { variables, why, git, passwordFor };
};

describe('git in the container', () => {
  it('goes to GitHub over https, whatever the repository says', async () => {
    await logIn();
    const { git, why } = await prepare({ mode: 'sync' });
    for (const url of ['git@github.com:x/y.git', 'ssh://git@github.com/x/y.git', 'https://github.com/x/y.git']) {
      expect(await git(['ls-remote', '--get-url', url])).toBe('https://github.com/x/y.git');
    }
    expect(await git(['ls-remote', '--get-url', 'git@gitlab.example:x/y.git'])).toBe('git@gitlab.example:x/y.git');
    expect(why).toBe('git uses the GitHub login for github.com.');
  });

  it('has the forwarded login there and nowhere else', async () => {
    await logIn();
    const { passwordFor } = await prepare({ mode: 'sync' });
    expect(await passwordFor('github.com')).toBe('gho_fake');
    expect(await passwordFor('example.com')).toBeUndefined();
  });

  it('has the token of the session in mode token, and that of a GitHub of one’s own', async () => {
    await installFake(path.join(root, "bin's"), 'gh');
    const env = { GH_TOKEN: 'ghp_fake', GH_HOST: 'ghe.example', GH_ENTERPRISE_TOKEN: 'fake-enterprise' };
    const { git, passwordFor, why } = await prepare({ mode: 'token', host: 'ghe.example' }, { env });
    expect([await passwordFor('github.com'), await passwordFor('ghe.example')]).toEqual(['ghp_fake', 'fake-enterprise']);
    expect(await git(['ls-remote', '--get-url', 'git@ghe.example:x/y'])).toBe('https://ghe.example/x/y');
    expect(why).toContain('github.com and ghe.example');
    expect(await readFile(path.join(state, 'gitconfig'), 'utf8')).not.toContain('fake');
  });

  it('has the login for another host alone, when the host is logged out of github.com', async () => {
    await installFake(path.join(root, "bin's"), 'gh');
    const { git } = await prepare({ mode: 'sync', host: 'ghe.example' });
    expect(await git(['ls-remote', '--get-url', 'git@ghe.example:x/y'])).toBe('https://ghe.example/x/y');
    expect(await git(['ls-remote', '--get-url', 'git@github.com:x/y'])).toBe('git@github.com:x/y');
  });

  it.each([
    ['there is no login', async () => rm(path.join(home, '.config/gh/hosts.yml')), undefined],
    ['there is no gh', async () => rm(path.join(root, "bin's/gh")), 'git cannot use the GitHub login: there is no gh in the container.'],
  ])('is left alone when %s', async (_what, take, why) => {
    await logIn();
    await prepare({ mode: 'sync' });
    await take();
    const after = await prepare({ mode: 'sync' }, { env: { PATH: path.join(root, "bin's") } });
    expect(after.variables).toEqual({});
    expect(after.why).toBe(why);
    expect(await contentOf(state)).toEqual({});
  });

  it('is as if nothing had been in mode ignore', async () => {
    await logIn();
    await prepare({ mode: 'sync', host: 'ghe.example' });
    const { variables, why } = await prepare({ mode: 'ignore', host: 'ghe.example' }, { env: { XDG_CONFIG_HOME: '/elsewhere' } });
    expect([variables, why]).toEqual([{}, undefined]);
    expect(await contentOf(state)).toEqual({});
  });
});

describe('settings of others', () => {
  it('of the image still count', async () => {
    await logIn();
    const { git } = await prepare({ mode: 'sync' }, { identity: { name: 'Operator' } });
    expect(await git(['config', 'core.editor'])).toBe('image');
    expect(await git(['config', 'safe.directory'])).toBe('*');
    expect(await git(['config', 'user.name'])).toBe('Operator');
  });

  it('of the agent win, and can be made as ever', async () => {
    await logIn();
    await writeFile(path.join(home, '.gitconfig'), '[alias]\n\tst = status\n');
    const { git } = await prepare({ mode: 'sync' }, { identity: { name: 'Operator', email: 'op@example.com' } });
    await git(['config', '--global', 'user.name', 'Agent']);
    const again = await prepare({ mode: 'sync' }, { identity: { name: 'Operator', email: 'op@example.com' } });
    expect(await Promise.all(['user.name', 'user.email', 'alias.st'].map(async (key) => again.git(['config', key])))).toEqual(['Agent', 'op@example.com', 'status']);
    expect(await again.git(['ls-remote', '--get-url', 'git@github.com:x/y'])).toBe('https://github.com/x/y');
  });

  it('of the agent for the login win too', async () => {
    await logIn();
    await writeFile(path.join(home, '.gitconfig'), '[credential "https://github.com"]\n\thelper =\n\thelper = "!printf \\"username=me\\\\npassword=own\\\\n\\" #"\n');
    const { passwordFor } = await prepare({ mode: 'sync' });
    expect(await passwordFor('github.com')).toBe('own');
  });

  it('lose nothing and gain no file in the home', async () => {
    await logIn();
    const before = await contentOf(home);
    await prepare({ mode: 'sync' });
    expect(await contentOf(home)).toEqual(before);
  });

  it('that lead gh elsewhere are set right, and only those', async () => {
    await logIn();
    const gh = path.join(home, '.config/gh');
    const elsewhere = ['XDG_CONFIG_HOME', 'GH_CONFIG_DIR'].map(async (name) => (await prepare({ mode: 'sync' }, { env: { [name]: '/elsewhere' } })).variables['GH_CONFIG_DIR']);
    expect(await Promise.all(elsewhere)).toEqual([gh, gh]);
    const right: Record<string, string>[] = [{}, { GH_CONFIG_DIR: gh }, { XDG_CONFIG_HOME: path.join(home, '.config/') }];
    for (const env of right) {
      expect((await prepare({ mode: 'sync' }, { env })).variables).toEqual({ GIT_CONFIG_SYSTEM: path.join(state, 'gitconfig') });
    }
  });
});

describe('the operator’s name', () => {
  it.each(['O’Neil "The" \\ #1; =', ' blanks ', 'two\nlines [core]', '$(id) `id`', 'tab\there'])('is what it is: %j', async (name) => {
    const { git } = await prepare({ mode: 'ignore' }, { identity: { name, email: 'op@example.com' } });
    expect(await git(['config', '-z', 'user.name'])).toBe(`${name}\0`);
    expect(await git(['config', 'user.email'])).toBe('op@example.com');
  });

  it('is the image’s when none is given', async () => {
    const { git } = await prepare({ mode: 'ignore' }, { identity: { name: '' } });
    expect(await git(['config', 'user.name'])).toBe('Of The Image');
  });

  it('stands in a file that only its owner can read', async () => {
    await prepare({ mode: 'ignore' }, { identity: { name: 'x' } });
    expect((await stat(path.join(state, 'gitconfig'))).mode & 0o777).toBe(0o600);
  });
});
