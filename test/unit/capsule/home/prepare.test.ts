import { chmod, lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { provisionHandoff } from '../../../../src/auth/handoff.ts';
import { prepareHome } from '../../../../src/capsule/home/prepare.ts';
import type { HomeRoots } from '../../../../src/capsule/home/roots.ts';
import type { AgentSetup, LoginOutcome } from '../../../../src/capsule/protocol.ts';
import {
  credential,
  KEY_CONFIG,
  KIMI_CODE_CONFIG,
  kimiCliFiles,
  kimiCodeFiles,
  minutes,
  NOW,
  tombstone,
  writeFiles,
} from '../../../fixtures/kimi/login.ts';
import { contentOf, makeTemporaryDir, modesOf } from '../../../fixtures/kimi/tree.ts';

let root: string;
let roots: HomeRoots;

beforeEach(async () => {
  root = await makeTemporaryDir();
  roots = {
    home: path.join(root, 'home'),
    handoff: path.join(root, 'handoff'),
    state: path.join(root, 'state'),
    defaultHome: path.join(root, 'default-home'),
  };
  await mkdir(roots.home);
});

afterEach(async () => {
  process.umask(0o022);
  await rm(root, { recursive: true });
});

const PROVIDER = { baseUrl: 'https://api.example.test/v1', model: 'kimi-for-coding', contextSize: 1000 };
const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

const handOver = async (name: 'kimi-code' | 'kimi', files: Record<string, string>): Promise<void> => {
  const others = name === 'kimi' ? 'kimi-code' : 'kimi';
  const bytes = Object.entries(files).map(([file, text]) => ({ path: file, bytes: Buffer.from(text) }));
  await provisionHandoff(roots.handoff, [{ name, action: 'replace', files: bytes }, { name: others, action: 'remove' }], ME);
};

const removeHandoff = async (): Promise<void> => {
  await provisionHandoff(roots.handoff, [{ name: 'kimi-code', action: 'remove' }, { name: 'kimi', action: 'remove' }], ME);
};

const prepare = async (mode: AgentSetup['mode'] = 'sync', now = NOW): Promise<LoginOutcome> => {
  const setup: AgentSetup = { slug: 'kimi', mode, ...(mode === 'api_key' && { provider: PROVIDER }) };
  const report = await prepareHome({ workdir: '/home/op/app', agents: [setup] }, roots, now);
  expect(report.logins).toHaveLength(1);
  expect(report.logins[0]?.why).toMatch(/^[A-Z][^\n]+\.$/);
  expect(JSON.stringify(report)).not.toContain('secret');
  return report.logins[0] as LoginOutcome;
};

const inHome = (file: string): string => path.join(roots.home, file);

/** Kimi's files, without what every home gets. */
const kimiHome = async (): Promise<Record<string, string>> => {
  const content = await contentOf(roots.home);
  const noise = /workspace-trust|\.skip-migration|\.jackin/;
  return Object.fromEntries(Object.entries(content).filter(([file]) => !noise.test(file)));
};

const backups = async (): Promise<Record<string, string>[]> => {
  const dir = inHome('.kimi-code/.jackin/backups');
  const names: string[] = await readdir(dir).catch(() => []);
  return Promise.all(names.sort().map((name) => contentOf(path.join(dir, name))));
};

const under = (dir: string, files: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([file, text]) => [`${dir}/${file}`, text]));

/** What Kimi does inside: writes the renewed credential, and now and then its configuration. */
const renewInside = (text: string): Promise<void> => writeFile(inHome('.kimi-code/credentials/kimi-code.json'), text);

describe('a first launch', () => {
  test('takes the host’s login and answers the questions of a first start', async () => {
    await handOver('kimi-code', kimiCodeFiles());
    expect(await prepare()).toMatchObject({ slug: 'kimi', outcome: 'handoff' });
    expect(await contentOf(roots.home)).toEqual({
      ...under('.kimi-code', kimiCodeFiles()),
      '.kimi-code/.skip-migration-from-kimi-cli': '',
      '.kimi-code/workspace-trust/wd_app_b9e41ac486fe': JSON.stringify({ root: '/home/op/app', trustedAt: NOW.getTime() }),
    });
  });

  test('without a login answers the questions all the same', async () => {
    expect(await prepare()).toMatchObject({ outcome: 'none' });
    expect(Object.keys(await contentOf(roots.home))).toEqual([
      '.kimi-code/.skip-migration-from-kimi-cli',
      '.kimi-code/workspace-trust/wd_app_b9e41ac486fe',
    ]);
  });

  test('keeps no secret outside of the home', async () => {
    await handOver('kimi-code', kimiCodeFiles());
    await prepare();
    const state = await contentOf(roots.state);
    expect(Object.keys(state)).toEqual(['auth/kimi.json', 'home-seeded']);
    expect(JSON.stringify(state)).not.toMatch(/secret|ey[A-Z]|signature/);
  });

  test.each([0o000, 0o022, 0o077])('makes files 0600 and directories 0700 under umask %o', async (umask) => {
    await handOver('kimi', kimiCliFiles());
    process.umask(umask);
    await prepare();
    for (const dir of [inHome('.kimi-code'), inHome('.kimi'), roots.state]) {
      expect(await modesOf(dir)).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
    }
  });

  test('tightens directories that were there already', async () => {
    await mkdir(inHome('.kimi-code/credentials'), { recursive: true });
    await chmod(inHome('.kimi-code/credentials'), 0o777);
    await handOver('kimi-code', kimiCodeFiles());
    await prepare();
    expect(await modesOf(inHome('.kimi-code'))).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });
});

describe('a later launch', () => {
  beforeEach(async () => {
    await handOver('kimi-code', kimiCodeFiles());
    await prepare();
  });

  test('changes nothing when nothing has changed', async () => {
    const before = await lstat(inHome('.kimi-code/config.toml'), { bigint: true });
    expect(await prepare()).toMatchObject({ outcome: 'same' });
    expect((await lstat(inHome('.kimi-code/config.toml'), { bigint: true })).ino).toBe(before.ino);
  });

  test('takes a newer login of the host, settings and all', async () => {
    const newer = kimiCodeFiles(credential({ serial: 2 }), `${KIMI_CODE_CONFIG}# newer\n`);
    await handOver('kimi-code', newer);
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await kimiHome()).toEqual(under('.kimi-code', newer));
    expect(await backups(), 'what was only seeded is no loss').toEqual([]);
  });

  test('keeps what was renewed inside, settings and all', async () => {
    const renewed = credential({ serial: 2, expiresAt: minutes(30) });
    await renewInside(renewed);
    await writeFile(inHome('.kimi-code/config.toml'), `${KIMI_CODE_CONFIG}# by Kimi inside\n`);
    await handOver('kimi-code', kimiCodeFiles(credential(), `${KIMI_CODE_CONFIG}# on the host\n`));
    expect(await prepare()).toMatchObject({ outcome: 'home' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles(renewed, `${KIMI_CODE_CONFIG}# by Kimi inside\n`)));
    expect(await prepare(), 'and again').toMatchObject({ outcome: 'home' });
  });

  test('keeps what was renewed inside also when it ends sooner than the old login of the host', async () => {
    const renewed = credential({ serial: 2, expiresAt: minutes(5) });
    await renewInside(renewed);
    expect(await prepare()).toMatchObject({ outcome: 'home' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles(renewed)));
  });

  test('takes a newer login of the host also when it ends sooner', async () => {
    const newer = kimiCodeFiles(credential({ serial: 2, expiresAt: minutes(5) }));
    await handOver('kimi-code', newer);
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await kimiHome()).toEqual(under('.kimi-code', newer));
  });

  test('of two that changed keeps the longer one, and a copy of what it replaces', async () => {
    const inside = credential({ serial: 2, expiresAt: minutes(30) });
    await renewInside(inside);
    await handOver('kimi-code', kimiCodeFiles(credential({ serial: 3, expiresAt: minutes(20) })));
    expect(await prepare()).toMatchObject({ outcome: 'home' });
    await handOver('kimi-code', kimiCodeFiles(credential({ serial: 4, expiresAt: minutes(40) })));
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await backups()).toEqual([under('.kimi-code', kimiCodeFiles(inside))]);
    expect(await modesOf(inHome('.kimi-code/.jackin'))).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });

  test('takes the host’s when it is of another account', async () => {
    await renewInside(credential({ serial: 2, expiresAt: minutes(60) }));
    await handOver('kimi-code', kimiCodeFiles(credential({ account: 'else@example.test' })));
    expect(await prepare()).toMatchObject({ outcome: 'handoff', why: expect.stringContaining('account') as string });
  });

  test('replaces a login that was rejected inside, without keeping it', async () => {
    await renewInside(tombstone({ expires_at: minutes(1e6) }));
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles()));
    expect(await backups()).toEqual([]);
  });

  test('never takes a dead login, even from a handoff', async () => {
    await handOver('kimi-code', kimiCodeFiles(tombstone({ expires_at: minutes(1e6) })));
    expect(await prepare()).toMatchObject({ outcome: 'home' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles()));
  });

  test('keeps the login when the host has none any more', async () => {
    await rm(roots.handoff, { recursive: true });
    expect(await prepare()).toMatchObject({ outcome: 'home' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles()));
  });

  test('takes settings that only the host has changed, when the credential is the same', async () => {
    await handOver('kimi-code', kimiCodeFiles(credential(), `${KIMI_CODE_CONFIG}# on the host\n`));
    expect(await prepare()).toMatchObject({ outcome: 'same' });
    expect((await kimiHome())['.kimi-code/config.toml']).toContain('# on the host');
    await writeFile(inHome('.kimi-code/config.toml'), `${KIMI_CODE_CONFIG}# inside\n`);
    await handOver('kimi-code', kimiCodeFiles(credential(), `${KIMI_CODE_CONFIG}# on the host again\n`));
    expect(await prepare()).toMatchObject({ outcome: 'same' });
    expect((await kimiHome())['.kimi-code/config.toml']).toContain('# inside');
  });

  test('with the same credential drops what is gone from the host, unless it was changed inside', async () => {
    const [one, two] = ['credentials/one.json', 'credentials/two.json'];
    await handOver('kimi-code', { ...kimiCodeFiles(), [one]: credential({ serial: 2 }), [two]: credential({ serial: 3 }) });
    expect(await prepare()).toMatchObject({ outcome: 'same' });
    await writeFile(inHome(`.kimi-code/${two}`), credential({ serial: 4 }));
    await handOver('kimi-code', kimiCodeFiles());
    expect(await prepare()).toMatchObject({ outcome: 'same' });
    expect(await kimiHome()).toEqual(under('.kimi-code', { ...kimiCodeFiles(), [two]: credential({ serial: 4 }) }));
    await prepare('ignore');
    expect(await kimiHome(), 'it was forwarded all the same').toEqual({});
  });

  test('drops a credential that is gone from the host, and leaves one that was made inside', async () => {
    const other = 'credentials/kimi-code-env-0e4f99c69cc27850.json';
    await handOver('kimi-code', { ...kimiCodeFiles(credential({ serial: 2 })), [other]: credential({ serial: 3 }) });
    await prepare();
    await writeFile(inHome('.kimi-code/credentials/inside.json'), credential({ serial: 4 }));
    await handOver('kimi-code', kimiCodeFiles(credential({ serial: 5 })));
    await prepare();
    expect(Object.keys(await kimiHome())).toEqual([
      '.kimi-code/config.toml',
      '.kimi-code/credentials/inside.json',
      '.kimi-code/credentials/kimi-code.json',
      '.kimi-code/device_id',
    ]);
  });

  test('keeps the last three of the logins that it replaced', async () => {
    for (let serial = 10; serial < 15; serial += 1) {
      await renewInside(credential({ serial, expiresAt: minutes(1) }));
      await handOver('kimi-code', kimiCodeFiles(credential({ serial: serial + 10, expiresAt: minutes(serial) })));
      expect(await prepare('sync', serial % 2 ? NOW : new Date(NOW.getTime() + serial))).toMatchObject({ outcome: 'handoff' });
    }
    expect(await backups()).toHaveLength(3);
  });

  test('trusts another folder as well, and leaves earlier answers alone', async () => {
    await writeFile(inHome('.kimi-code/workspace-trust/wd_app_b9e41ac486fe'), 'earlier');
    await prepareHome({ workdir: '/srv/other', agents: [{ slug: 'kimi', mode: 'sync' }] }, roots, NOW);
    await prepare();
    expect(await readdir(inHome('.kimi-code/workspace-trust'))).toHaveLength(2);
    expect(await readFile(inHome('.kimi-code/workspace-trust/wd_app_b9e41ac486fe'), 'utf8')).toBe('earlier');
  });

  test('writes through no link that appeared inside', async () => {
    const outside = path.join(root, 'project');
    await mkdir(outside);
    await writeFile(path.join(outside, 'kimi-code.json'), 'canary');
    await rm(inHome('.kimi-code/credentials'), { recursive: true });
    await symlink(outside, inHome('.kimi-code/credentials'));
    await rm(inHome('.kimi-code/config.toml'));
    await symlink(path.join(outside, 'kimi-code.json'), inHome('.kimi-code/config.toml'));
    await handOver('kimi-code', kimiCodeFiles(credential({ serial: 2 })));
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await contentOf(outside)).toEqual({ 'kimi-code.json': 'canary' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles(credential({ serial: 2 }))));
  });
});

describe('a login of kimi-cli', () => {
  test('is copied, and a Kimi Code home that works is made from it', async () => {
    await handOver('kimi', kimiCliFiles());
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    const home = await kimiHome();
    const { 'kimi.json': _never, ...copied } = kimiCliFiles();
    expect(home).toMatchObject(under('.kimi', copied));
    expect(home['.kimi-code/credentials/kimi-code.json']).toBe(credential());
    expect(home['.kimi-code/device_id']).toBe(copied['device_id']);
    expect(home['.kimi-code/config.toml']).toContain('enabled = true');
    expect(await prepare()).toMatchObject({ outcome: 'same' });
  });

  test('that was renewed inside is kept; a newer one of Kimi Code then takes its place', async () => {
    await handOver('kimi', kimiCliFiles());
    await prepare();
    await renewInside(credential({ serial: 2, expiresAt: minutes(30) }));
    expect(await prepare()).toMatchObject({ outcome: 'home' });
    await handOver('kimi-code', kimiCodeFiles(credential({ serial: 3, expiresAt: minutes(60) })));
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles(credential({ serial: 3, expiresAt: minutes(60) }))));
  });

  test('leaves with the mode', async () => {
    await handOver('kimi', kimiCliFiles());
    await prepare();
    await removeHandoff();
    expect(await prepare('ignore')).toMatchObject({ outcome: 'removed' });
    expect(await kimiHome()).toEqual({});
  });
});

describe('leaving sync', () => {
  const own = { '.kimi-code/tui.toml': 'theme = "dark"', '.kimi-code/sessions/s.jsonl': 'talk', '.kimi-code/skills/x.md': 'skill' };

  beforeEach(async () => {
    await handOver('kimi-code', kimiCodeFiles());
    await prepare();
    await writeFiles(roots.home, own);
    await removeHandoff();
  });

  test('removes what jackin placed and nothing else', async () => {
    expect(await prepare('ignore')).toMatchObject({ outcome: 'removed' });
    expect(await kimiHome()).toEqual(own);
    expect(await prepare('ignore')).toMatchObject({ outcome: 'none' });
  });

  test('removes the forwarded login also after Kimi has renewed it and rewritten its configuration', async () => {
    await renewInside(credential({ serial: 2 }));
    await writeFile(inHome('.kimi-code/config.toml'), `${KIMI_CODE_CONFIG}# models refreshed\n`);
    expect(await prepare('ignore')).toMatchObject({ outcome: 'removed' });
    expect(await kimiHome()).toEqual(own);
  });

  test('removes the copies of replaced logins', async () => {
    await renewInside(credential({ serial: 2, expiresAt: minutes(1) }));
    await handOver('kimi-code', kimiCodeFiles(credential({ serial: 3 })));
    await prepare();
    expect(await backups()).toHaveLength(1);
    await removeHandoff();
    await prepare('ignore');
    expect(JSON.stringify(await contentOf(roots.home))).not.toMatch(/secret/);
  });

  test('leaves a login and a configuration that were made inside', async () => {
    await writeFile(inHome('.kimi-code/config.toml'), KEY_CONFIG);
    await writeFile(inHome('.kimi-code/credentials/inside.json'), credential({ serial: 2 }));
    await writeFile(inHome('.kimi-code/device_id'), 'made inside');
    expect(await prepare('ignore')).toMatchObject({ outcome: 'removed' });
    expect(await kimiHome()).toEqual({
      ...own,
      '.kimi-code/config.toml': KEY_CONFIG,
      '.kimi-code/credentials/inside.json': credential({ serial: 2 }),
      '.kimi-code/device_id': 'made inside',
    });
    expect(await prepare('ignore')).toMatchObject({ outcome: 'home' });
  });

  test('and coming back takes the host’s login again', async () => {
    await prepare('ignore');
    await handOver('kimi-code', kimiCodeFiles());
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await kimiHome()).toEqual({ ...own, ...under('.kimi-code', kimiCodeFiles()) });
  });

  test('for a key sets up a provider that reads it; leaving that takes it out again', async () => {
    expect(await prepare('api_key')).toMatchObject({ outcome: 'provider' });
    const home = await kimiHome();
    expect(Object.keys(home).sort()).toEqual([...Object.keys(own), '.kimi-code/config.toml'].sort());
    expect(home['.kimi-code/config.toml']).toMatch(/^default_model = "jackin\/kimi-for-coding"\n/);
    expect(home['.kimi-code/config.toml']).toContain('api_key_env = "KIMI_API_KEY"');
    expect(home['.kimi-code/config.toml']).not.toContain('managed:kimi-code');
    await prepare('ignore');
    expect(await kimiHome()).toEqual(own);
  });
});

describe('a configuration that holds the key itself', () => {
  test('is forwarded, and goes with the mode even when it was changed inside', async () => {
    await handOver('kimi-code', { 'config.toml': KEY_CONFIG });
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    await writeFile(inHome('.kimi-code/config.toml'), `theme = "dark"\n${KEY_CONFIG}`);
    await removeHandoff();
    expect(await prepare('ignore')).toMatchObject({ outcome: 'removed' });
    expect(await kimiHome()).toEqual({});
  });
});

describe('the provider for a key', () => {
  const inside = 'default_model = "mine"\n\n[models.mine]\nprovider = "x"\nmodel = "m"\nmax_context_size = 1\n';

  test('stands beside what was configured inside, whose default comes back afterwards', async () => {
    await writeFiles(roots.home, { '.kimi-code/config.toml': inside });
    await prepare('api_key');
    await prepare('api_key');
    const during = (await kimiHome())['.kimi-code/config.toml'] ?? '';
    expect(during).toContain('[models.mine]');
    expect(during).toMatch(/^default_model = "jackin\//);
    await prepare('ignore');
    expect(await kimiHome()).toEqual({ '.kimi-code/config.toml': inside });
  });

  test('makes way for the host’s login', async () => {
    await prepare('api_key');
    await handOver('kimi-code', kimiCodeFiles());
    expect(await prepare()).toMatchObject({ outcome: 'handoff' });
    expect(await kimiHome()).toEqual(under('.kimi-code', kimiCodeFiles()));
    expect(await backups()).toEqual([]);
  });

  test('replaces a configuration that Kimi could not read either, and keeps a copy', async () => {
    await writeFiles(roots.home, { '.kimi-code/config.toml': '[[[' });
    await prepare('api_key');
    expect(await backups()).toEqual([{ '.kimi-code/config.toml': '[[[' }]);
  });
});

test('agents that were not asked for are left alone', async () => {
  const report = await prepareHome({ workdir: '/w', agents: [{ slug: 'codex', mode: 'sync' }] }, roots, NOW);
  expect(report).toMatchObject({ logins: [{ slug: 'codex', outcome: 'none' }] });
  expect(await contentOf(roots.home)).toEqual({});
});

test('a record that cannot be read counts as none', async () => {
  await handOver('kimi-code', kimiCodeFiles());
  await prepare();
  for (const text of ['', '[]', '{"files":1}', 'null']) {
    await writeFile(path.join(roots.state, 'auth/kimi.json'), text);
    expect(await prepare()).toMatchObject({ outcome: 'same' });
  }
});

describe('what the image brings for the home', () => {
  beforeEach(async () => {
    await writeFiles(roots.defaultHome, { '.zshrc': 'from image', '.kimi-code/skills/a.md': 'skill', 'bin/tool': '#!' });
    await chmod(path.join(roots.defaultHome, 'bin/tool'), 0o755);
    await symlink('.zshrc', path.join(roots.defaultHome, '.profile'));
    await mkdir(inHome('.kimi-code'));
  });

  test('is there after the first launch, where nothing else was', async () => {
    await writeFile(inHome('.zshrc'), 'mine');
    await prepare();
    expect(await readFile(inHome('.zshrc'), 'utf8')).toBe('mine');
    expect(await readFile(inHome('.kimi-code/skills/a.md'), 'utf8')).toBe('skill');
    expect((await lstat(inHome('bin/tool'))).mode & 0o777).toBe(0o700);
    expect(await readlink(inHome('.profile'))).toBe('.zshrc');
  });

  test('is not brought back later', async () => {
    await prepare();
    await rm(inHome('.zshrc'));
    await prepare();
    await expect(lstat(inHome('.zshrc'))).rejects.toThrow('ENOENT');
  });

  test('never replaces the directory of an agent, which is a mount point', async () => {
    const before = await lstat(inHome('.kimi-code'));
    await handOver('kimi-code', kimiCodeFiles());
    await prepare();
    await prepare('ignore');
    expect((await lstat(inHome('.kimi-code'))).ino).toBe(before.ino);
  });
});

