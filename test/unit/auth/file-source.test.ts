import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT_SLUGS, AGENTS, type AgentSlug } from '../../../src/agents/agents.ts';
import type { FileLogin } from '../../../src/agents/login-form.ts';
import { readLogin } from '../../../src/auth/read-login.ts';
import type { LoginSet, SourceOptions } from '../../../src/auth/source.ts';
import { expandHome } from '../../../src/config/paths.ts';
import type { JackinError } from '../../../src/shared/errors.ts';
import { fingerprintOf, makeTemporaryDir } from '../../fixtures/kimi/tree.ts';
import { type Condition, FORMS, NOW, writeHostLogin } from '../../fixtures/logins/logins.ts';

let root: string;
let home: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  home = path.join(root, 'home');
  await mkdir(home);
});

afterEach(() => rm(root, { recursive: true }));

const UID = process.getuid?.() ?? 0;

const read = (agent: AgentSlug, options: Partial<SourceOptions> = {}): Promise<LoginSet> => readLogin(agent, { home, env: {}, uid: UID, now: NOW, ...options });

const NOBODY = 65534;

/** Runs as somebody who is not root and owns the home: root can read everything. */
const asSomebody = async (action: (uid: number) => Promise<void>): Promise<void> => {
  if (UID !== 0) return action(UID);
  await promisify(execFile)('chown', ['-R', String(NOBODY), home]);
  await chmod(root, 0o755);
  process.seteuid!(NOBODY);
  try {
    await action(NOBODY);
  } finally {
    process.seteuid!(0);
  }
};

const put = async (file: string, content: string | Buffer): Promise<void> => {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true });
  await writeFile(path.join(root, file), content);
};

const handedOver = ({ set }: LoginSet): Record<string, string> =>
  Object.fromEntries((set?.files ?? []).map(({ path: file, bytes }) => [file, bytes.toString()]));

/** An agent that keeps its login in one file, and what a test needs to know of it. */
interface Subject {
  agent: AgentSlug;
  login: FileLogin;
  /** Its directory, below the home. */
  dir: string;
  /** Its credential file, below the home. */
  file: string;
  name: string;
  variable: string;
  /** What the variable must be set to, so that the directory is `place`. */
  valueFor: (place: string) => string;
  /** Makes a directory, below the root, with a login. */
  makeLogin: (place: string, number: number, condition?: Exclude<Condition, 'absent'>) => Promise<void>;
}

const SUBJECTS = AGENT_SLUGS.flatMap((agent): Subject[] => {
  const { login, homes, name, homeVariable } = AGENTS[agent];
  if (login === undefined) return [];
  return [
    {
      agent,
      login,
      dir: homes[0],
      file: FORMS[agent].file,
      name,
      variable: homeVariable.name,
      valueFor: (place) => (homeVariable.below === '' ? place : path.dirname(place)),
      makeLogin: async (place, number, condition = 'live') => {
        await put(path.join(place, login.file), FORMS[agent].text(number, condition));
      },
    },
  ];
});
// `Subject` objects hold functions; this is what names a test.
const EACH = SUBJECTS.map((subject) => [subject.agent, subject] as const);

test('every agent but Kimi keeps its login in one file', () => {
  expect(EACH.map(([agent]) => agent)).toEqual(['claude', 'codex', 'amp', 'opencode']);
});

describe.each(EACH)('the login of %s', (agent, { login, dir, file, name, variable, valueFor, makeLogin }) => {
  const inHome = (place: string): string => path.join(home, place);
  const text = FORMS[agent].text(1, 'live');

  describe('that is there', () => {
    test('is told in full, without a secret', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      const { facts } = await read(agent);
      expect(facts).toMatchObject({
        agent,
        dir: inHome(dir),
        from: 'default',
        generation: null,
        state: 'live',
        refreshable: true,
        expiresAt: '2026-11-21T12:11:00.000Z',
        files: [{ path: login.file, size: text.length, state: 'live' }],
        skipped: [],
        why: `${login.file} is live.`,
      });
      expect(JSON.stringify(facts)).not.toMatch(/fake-(access|refresh|header|signature)/);
      expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
    });

    test('is handed over byte for byte, and nothing else of the directory is', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      const spaced = ` \n${text}\r\n\n`;
      await put(`home/${file}`, spaced);
      for (const other of ['settings.json', 'config.toml', 'history.jsonl', `${login.file}.bak`, 'sessions/one.jsonl', `backup/${login.file}`]) {
        await put(`home/${dir}/${other}`, 'private words');
      }
      const found = await read(agent);
      expect(found.set?.name).toBe(AGENTS[agent].handoffs[0]);
      const { [login.handoff]: credential, ...account } = handedOver(found);
      expect(credential).toBe(spaced);
      expect(Object.keys(account)).toEqual(login.account === undefined ? [] : [login.account.handoff]);
      expect(JSON.stringify(handedOver(found))).not.toContain('private words');
      expect(found.facts.skipped).toEqual([]);
    });

    test('and has expired can still be refreshed', async () => {
      await writeHostLogin(home, agent, 1, 'expired');
      expect(await read(agent)).toMatchObject({ facts: { state: 'expired-refreshable', refreshable: true }, set: { name: agent } });
    });

    test('in a form that nobody knows is passed on as it is', async () => {
      const strange = JSON.stringify({ version: { of: 'tomorrow' } });
      await put(`home/${file}`, strange);
      const found = await read(agent);
      expect(found.facts).toMatchObject({ state: 'unknown', refreshable: false, why: `${login.file} has a form that jackin does not know.` });
      expect(handedOver(found)[login.handoff]).toBe(strange);
    });
  });

  describe('that cannot work', () => {
    test.each([
      ['blanked', FORMS[agent].text(1, 'dead')],
      ['empty', ''],
      ['of blanks', ' \n\t'],
      ['cut off', text.slice(0, -10)],
      ['cut off in the middle of a token', text.slice(0, text.indexOf('fake-') + 9)],
      ['no JSON', 'fake-access-1'],
      ['a list', '["fake-access-1"]'],
      ['nothing', 'null'],
      ['binary', Buffer.from([0xff, 0xfe, 0, 1, 2, 0x7f])],
      ['zeroed by a crash', Buffer.alloc(200)],
      ['half overwritten', `${text.slice(20)}${text}`],
    ])('is never handed over: %s', async (_what, content) => {
      await put(`home/${file}`, content);
      const found = await read(agent);
      expect(found.set).toBeUndefined();
      expect(found.facts).toMatchObject({ state: 'dead', refreshable: false, files: [{ path: login.file, state: 'dead' }], skipped: [{ path: login.file }] });
      expect(found.facts.why).toMatch(/^\S.*\.$/);
      expect(JSON.stringify(found.facts)).not.toMatch(/fake-(access|refresh)/);
    });

    test('since it is larger than any login is not read', async () => {
      await put(`home/${file}`, JSON.stringify({ padding: 'x'.repeat(1024 * 1024) }));
      const found = await read(agent);
      expect(found).toMatchObject({ set: undefined, facts: { state: 'absent', skipped: [{ path: login.file, why: 'is larger than 1 MiB' }] } });
      expect(found.facts.why).toBe(`${login.file} in ${inHome(dir)} is larger than 1 MiB.`);
    });

    test('does not hide what is wrong with it behind a login in its usual place', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      await makeLogin('named', 2, 'dead');
      expect((await read(agent, { sourceDir: path.join(root, 'named') })).facts).toMatchObject({ state: 'dead', dir: path.join(root, 'named') });
    });
  });

  describe('where it is looked for', () => {
    test('without one the place is named', async () => {
      expect((await read(agent)).facts).toMatchObject({ state: 'absent', dir: inHome(dir), why: `${inHome(dir)} does not exist: a directory with ${login.file} is expected.` });
      await mkdir(inHome(dir), { recursive: true });
      expect((await read(agent)).facts).toMatchObject({ state: 'absent', files: [], why: `There is no ${name} login in ${inHome(dir)}.` });
      expect((await read(agent)).set).toBeUndefined();
    });

    test(`${variable} of the host moves it, an empty one does not`, async () => {
      await writeHostLogin(home, agent, 1, 'expired');
      const place = path.join(root, 'elsewhere', path.basename(dir));
      await makeLogin(path.relative(root, place), 2);
      expect((await read(agent, { env: { [variable]: valueFor(place) } })).facts).toMatchObject({ dir: place, from: 'default', state: 'live' });
      expect((await read(agent, { env: { [variable]: '' } })).facts).toMatchObject({ dir: inHome(dir), state: 'expired-refreshable' });
      const nowhere = path.join(root, 'nowhere', path.basename(dir));
      expect((await read(agent, { env: { [variable]: valueFor(nowhere) } })).facts, 'never the usual one instead').toMatchObject({ dir: nowhere, state: 'absent' });
    });

    test('a directory that is named is used alone, before the variable', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      await makeLogin('elsewhere/x', 2);
      await makeLogin('named', 3, 'expired');
      const env = { [variable]: valueFor(path.join(root, 'elsewhere/x')) };
      expect((await read(agent, { env, sourceDir: path.join(root, 'named') })).facts).toMatchObject({ from: 'sync_source_dir', dir: path.join(root, 'named'), state: 'expired-refreshable' });
    });

    test('a directory may be named from the home', async () => {
      await makeLogin('home/srv/login', 1);
      for (const written of ['~/srv/login', '~/srv/login/', '~/srv/../srv/login']) {
        expect((await read(agent, { sourceDir: expandHome(written, home) })).facts).toMatchObject({ state: 'live', dir: inHome('srv/login') });
      }
    });

    test.each([
      ['is missing', 'none', (place: string) => `sync_source_dir ${place} does not exist: a directory with ${login.file} is expected.`],
      ['is a file', 'a-file', (place: string) => `sync_source_dir ${place} is not a directory: a directory with ${login.file} is expected.`],
      ['is the credential file itself', `of-itself/${login.file}`, (place: string) => `sync_source_dir ${place} is not a directory: a directory with ${login.file} is expected.`],
      ['lies below a file', 'a-file/below', (place: string) => `sync_source_dir ${place} does not exist: a directory with ${login.file} is expected.`],
      ['is empty', 'empty', (place: string) => `sync_source_dir ${place} holds no ${login.file}, which is expected directly inside.`],
      [
        'is the one above',
        path.join('above', path.dirname(dir)),
        (place: string) => `sync_source_dir ${place} holds no ${login.file}, which is expected directly inside. Perhaps ${path.join(place, path.basename(dir))} is meant.`,
      ],
    ])('a directory that %s holds no login, and what was expected is said', async (_what, place, why) => {
      await writeHostLogin(home, agent, 1, 'live');
      await put('a-file', '{}');
      await mkdir(path.join(root, 'empty'));
      await makeLogin('of-itself', 2);
      await makeLogin(path.join('above', dir), 2);
      const found = await read(agent, { sourceDir: path.join(root, place) });
      expect(found).toMatchObject({ set: undefined, facts: { state: 'absent', from: 'sync_source_dir', files: [] } });
      expect(found.facts.why).toBe(why(path.join(root, place)));
    });

    test.each(AGENT_SLUGS.filter((other) => other !== agent))('the directory of %s is not taken for its own', async (other) => {
      await writeHostLogin(home, other, 1, 'live');
      const found = await read(agent, { sourceDir: inHome(path.join(AGENTS[other].homes[0])) });
      expect(found.set).toBeUndefined();
      const isSameName = AGENTS[other].login?.file === login.file;
      expect(found.facts.state).toBe(isSameName ? 'dead' : 'absent');
      expect(found.facts.why).toContain(isSameName ? `${login.file} is a login of ${AGENTS[other].name}, not of ${name}.` : `holds no ${login.file}, which is expected directly inside.`);
    });
  });

  describe('links', () => {
    test.each([
      ['the directory itself', path.join('home', dir)],
      ['a directory that is named', 'named'],
    ])('%s may be one, and where it leads is said', async (_what, link) => {
      await makeLogin('dotfiles/it', 1);
      await mkdir(path.dirname(path.join(root, link)), { recursive: true });
      await symlink(path.join(root, 'dotfiles/it'), path.join(root, link));
      const found = await read(agent, link === 'named' ? { sourceDir: path.join(root, link) } : {});
      expect(found.facts).toMatchObject({ state: 'live', dir: path.join(root, 'dotfiles/it') });
      expect(handedOver(found)).toEqual({ [login.handoff]: text });
    });

    test.each([
      ['a file', async () => put('outside/it.json', text)],
      ['a directory', async () => mkdir(path.join(root, 'outside/it.json'), { recursive: true })],
      ['nothing', async () => undefined],
    ])('the credential may be none: not to %s', async (_what, prepare) => {
      await prepare();
      await mkdir(inHome(dir), { recursive: true });
      await symlink(path.join(root, 'outside/it.json'), inHome(file));
      const found = await read(agent);
      expect(found).toMatchObject({ set: undefined, facts: { state: 'absent', files: [], skipped: [{ path: login.file }] } });
      expect(found.facts.why).toBe(`${login.file} in ${inHome(dir)} is a link, and links inside the directory are not followed.`);
    });

    test('a directory that is a link to nothing is none; one that leads to itself is an error', async () => {
      await mkdir(path.dirname(inHome(dir)), { recursive: true });
      await symlink('nowhere', inHome(dir));
      expect((await read(agent)).facts).toMatchObject({ state: 'absent', why: expect.stringContaining('does not exist') as string });
      await rm(inHome(dir));
      await symlink(path.basename(dir), inHome(dir));
      await expect(read(agent)).rejects.toMatchObject({ code: 'auth.missing', message: expect.stringContaining(`the ${name} login in ${inHome(dir)} cannot be read`) as string });
    });

    test('swapped with the file again and again are never followed', async () => {
      await put('outside/canary.json', text.replaceAll('fake-', 'fake-canary-'));
      await makeLogin(path.join('home', dir), 1);
      await symlink(path.join(root, 'outside/canary.json'), path.join(root, 'link'));
      await put('real', text);
      const reading = new AbortController();
      const swapping = (async () => {
        for (let turn = 0; !reading.signal.aborted; turn += 1) {
          if (turn % 2 === 0) await symlink(path.join(root, 'outside/canary.json'), path.join(root, 'next'));
          else await put('next', text);
          await rename(path.join(root, 'next'), inHome(file));
        }
      })();
      const seen = new Set<string>();
      for (let count = 0; count < 20; count += 1) {
        const found = await read(agent).catch(() => undefined);
        seen.add(found === undefined ? 'restless' : found.facts.state);
        expect(JSON.stringify(found ?? {})).not.toContain('canary');
        expect(handedOver(found ?? ({} as LoginSet))).not.toHaveProperty(login.handoff, expect.stringContaining('canary'));
      }
      reading.abort();
      await swapping;
      expect([...seen].every((state) => ['live', 'absent', 'restless'].includes(state))).toBe(true);
    });
  });

  test('something that is no file is not opened', async () => {
    await mkdir(inHome(dir), { recursive: true });
    await promisify(execFile)('mkfifo', [inHome(file)]);
    expect((await read(agent)).facts).toMatchObject({ state: 'absent', why: expect.stringContaining('is neither a file nor a directory') as string });
    await rm(inHome(file));
    await mkdir(inHome(file));
    expect((await read(agent)).facts).toMatchObject({ state: 'absent', files: [] });
  });

  describe('owners', () => {
    test.skipIf(UID !== 0)('someone else’s login is not read', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      await expect(read(agent, { uid: 1234 })).rejects.toMatchObject({ code: 'auth.missing', exitCode: 4, message: expect.stringContaining('belongs to another user') as string });
      await chown(inHome(dir), 1234, 1234);
      const found = await read(agent, { uid: 1234 });
      expect(found).toMatchObject({ set: undefined, facts: { state: 'absent', skipped: [{ path: login.file, why: 'belongs to another user' }] } });
      expect(found.facts.why).toBe(`${login.file} in ${inHome(dir)} belongs to another user.`);
    });

    test.skipIf(UID !== 0)('root may use anyone’s login, but not one of several owners', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      await chown(inHome(dir), 1234, 1234);
      expect((await read(agent, { uid: 0 })).facts).toMatchObject({ state: 'absent', skipped: [{ path: login.file, why: 'belongs to another user' }] });
      await chown(inHome(file), 1234, 1234);
      expect((await read(agent, { uid: 0 })).facts.state).toBe('live');
    });

    test('a login that may not be read is an error', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      await asSomebody(async (uid) => {
        for (const [place, mode] of [[inHome(file), 0o600], [inHome(dir), 0o700]] as const) {
          await chmod(place, 0);
          const unreadable = expect.stringMatching(new RegExp(`^the ${name} login in \\S+ cannot be read: EACCES`)) as string;
          await expect(read(agent, { uid })).rejects.toMatchObject({ code: 'auth.missing', exitCode: 4, message: unreadable });
          await chmod(place, mode);
        }
        expect((await read(agent, { uid })).facts.state).toBe('live');
      });
    });

    test.skipIf(UID !== 0)('a login that root left in the own directory is not read, also where it could be', async () => {
      await writeHostLogin(home, agent, 1, 'live');
      await asSomebody(async (uid) => {
        process.seteuid!(0);
        await chown(inHome(file), 0, 0);
        for (const mode of [0o644, 0o600]) {
          await chmod(inHome(file), mode);
          process.seteuid!(uid);
          const found = await read(agent, { uid }).catch((error: unknown) => error as { code: string });
          process.seteuid!(0);
          expect(found).toMatchObject(mode === 0o644 ? { set: undefined, facts: { state: 'absent', skipped: [{ why: 'belongs to another user' }] } } : { code: 'auth.missing' });
        }
      });
    });
  });

  test('nothing on the host is written, made or touched', async () => {
    for (const condition of ['live', 'expired', 'dead'] as const) {
      await writeHostLogin(home, agent, 1, condition);
      await put(`home/${dir}/${login.file}.lock`, '');
      await makeLogin('named', 2, condition);
      await chmod(inHome(file), 0o666);
      await utimes(inHome(file), 1, 1);
      const before = await fingerprintOf(root);
      await read(agent);
      await read(agent, { sourceDir: path.join(root, 'named') });
      await read(agent, { sourceDir: path.join(root, 'none') });
      expect(await fingerprintOf(root)).toEqual(before);
    }
  });

  test('replaced by rename while it is read is the old one or the new one', async () => {
    await makeLogin(path.join('home', dir), 0);
    const reading = new AbortController();
    const writing = (async () => {
      for (let number = 1; !reading.signal.aborted; number += 1) {
        await put('next', FORMS[agent].text(number, 'live'));
        await rename(path.join(root, 'next'), inHome(file));
        await new Promise((resolve) => setTimeout(resolve, number % 7));
      }
    })();
    const ends: string[] = [];
    for (let count = 0; count < 15; count += 1) {
      const found = await read(agent).catch((error: JackinError) => error.code);
      ends.push(typeof found === 'string' ? found : found.facts.state);
      // Half of one, or of two, would be no JSON.
      if (typeof found !== 'string' && found.set !== undefined) JSON.parse(handedOver(found)[login.handoff] ?? '');
    }
    reading.abort();
    await writing;
    expect(ends).toContain('live');
    expect(ends.filter((end) => end !== 'live' && end !== 'failed')).toEqual([]);
  });
});
