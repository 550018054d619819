import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT_SLUGS, AGENTS, type AuthMode } from '../../../../src/agents/agents.ts';
import { provisionHandoff } from '../../../../src/auth/handoff.ts';
import { prepareHome } from '../../../../src/capsule/home/prepare.ts';
import type { HomeRoots } from '../../../../src/capsule/home/roots.ts';
import type { LoginOutcome } from '../../../../src/capsule/protocol.ts';
import { contentOf, makeTemporaryDir, modesOf } from '../../../fixtures/kimi/tree.ts';
import { FORMS, loginNumber, NOW, writeHostLogin } from '../../../fixtures/logins/logins.ts';

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

let root: string;
let roots: HomeRoots;

beforeEach(async () => {
  root = await makeTemporaryDir();
  roots = { home: path.join(root, 'home'), handoff: path.join(root, 'handoff'), state: path.join(root, 'state'), defaultHome: path.join(root, 'none') };
});

afterEach(() => rm(root, { recursive: true }));

const AGENTS_WITH_FILE = AGENT_SLUGS.filter((agent) => AGENTS[agent].login !== undefined);

describe.each(AGENTS_WITH_FILE.map((agent) => [agent]))('the login of %s in the container', (agent) => {
  const { login, homes, handoffs, modes } = AGENTS[agent];
  const text = (number: number): string => FORMS[agent].text(number, 'live');
  const dir = (): string => path.join(roots.home, homes[0]);

  const handOver = (number: number): Promise<unknown> =>
    provisionHandoff(roots.handoff, [{ name: handoffs[0], action: 'replace', files: [{ path: login!.handoff, bytes: Buffer.from(text(number)) }] }], ME);
  const takeBack = (): Promise<unknown> => provisionHandoff(roots.handoff, [{ name: handoffs[0], action: 'remove' }], ME);
  const prepare = async (mode: AuthMode): Promise<LoginOutcome> => {
    const { logins } = await prepareHome({ workdir: '/srv/app', agents: [{ slug: agent, mode }] }, roots, NOW);
    expect(logins[0]?.why).toMatch(/^[A-Z][^\n]+\.$/);
    expect(JSON.stringify(logins)).not.toMatch(/fake-(access|refresh)/);
    return logins[0]!;
  };
  const renewInside = (number: number): Promise<void> => writeHostLogin(roots.home, agent, number, 'live');

  test('is placed where that agent looks, for nobody else to read', async () => {
    await handOver(1);
    expect(await prepare('sync')).toMatchObject({ slug: agent, outcome: 'handoff' });
    expect(await readFile(path.join(dir(), login!.file), 'utf8')).toBe(text(1));
    expect(await modesOf(dir())).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
    expect(await prepare('sync')).toMatchObject({ outcome: 'same' });
  });

  test('is kept when it was renewed inside, and a copy when the host’s replaces it', async () => {
    await handOver(1);
    await prepare('sync');
    await renewInside(5);
    expect(await prepare('sync')).toMatchObject({ outcome: 'home' });
    expect(await loginNumber(roots.home, agent)).toBe(5);
    await handOver(9);
    expect(await prepare('sync'), 'the one that lives longer').toMatchObject({ outcome: 'handoff' });
    expect(await loginNumber(roots.home, agent)).toBe(9);
    const [backup = ''] = await readdir(path.join(dir(), '.jackin/backups'));
    expect(await contentOf(path.join(dir(), '.jackin/backups', backup))).toEqual({ [`${homes[0]}/${login!.file}`]: text(5) });
  });

  test.each(modes.filter((mode) => mode !== 'sync'))('leaves with its copies when the mode becomes %s, also after it was renewed inside', async (mode) => {
    await handOver(1);
    await prepare('sync');
    await renewInside(5);
    await handOver(9);
    await prepare('sync');
    await renewInside(10);
    await mkdir(path.join(dir(), 'mine'));
    await writeFile(path.join(dir(), 'mine/notes'), 'mine');
    await takeBack();
    await prepare(mode);
    const left = JSON.stringify(await contentOf(roots.home));
    expect(left).not.toMatch(/fake-(access|refresh|header)/);
    expect(left).toContain('mine/notes');
    expect(JSON.stringify(await contentOf(roots.state))).not.toMatch(/fake-(access|refresh|header)/);
  });

  test('that was made inside stays under ignore', async () => {
    await renewInside(5);
    expect(await prepare('ignore')).toMatchObject({ outcome: 'home' });
    expect(await loginNumber(roots.home, agent)).toBe(5);
  });

  test('is written through no link that appeared inside', async () => {
    await mkdir(dir(), { recursive: true });
    await writeFile(path.join(root, 'canary'), 'canary');
    await symlink(path.join(root, 'canary'), path.join(dir(), login!.file));
    await handOver(1);
    expect(await prepare('sync')).toMatchObject({ outcome: 'handoff' });
    expect(await readFile(path.join(root, 'canary'), 'utf8')).toBe('canary');
    expect(await readFile(path.join(dir(), login!.file), 'utf8')).toBe(text(1));
  });

  test('that is dead is never placed, and one that died inside is replaced without a copy', async () => {
    await provisionHandoff(roots.handoff, [{ name: handoffs[0], action: 'replace', files: [{ path: login!.handoff, bytes: Buffer.from(FORMS[agent].text(1, 'dead')) }] }], ME);
    expect(await prepare('sync')).toMatchObject({ outcome: 'none' });
    expect(await loginNumber(roots.home, agent)).toBeUndefined();
    await writeHostLogin(roots.home, agent, 1, 'dead');
    await handOver(2);
    expect(await prepare('sync')).toMatchObject({ outcome: 'handoff' });
    expect(Object.keys(await contentOf(dir())).filter((file) => file.includes('backups'))).toEqual([]);
    expect(await loginNumber(roots.home, agent)).toBe(2);
  });
});
