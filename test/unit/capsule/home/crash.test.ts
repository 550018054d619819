import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { provisionHandoff } from '../../../../src/auth/handoff.ts';
import { prepareHome } from '../../../../src/capsule/home/prepare.ts';
import type { HomeRoots } from '../../../../src/capsule/home/roots.ts';
import type { AgentSetup } from '../../../../src/capsule/protocol.ts';
import { JackinError } from '../../../../src/shared/errors.ts';
import type { Fault } from '../../../fixtures/kimi/faulty-fs.ts';
import { credential, KIMI_CODE_CONFIG, kimiCliFiles, kimiCodeFiles, minutes, NOW, writeFiles } from '../../../fixtures/kimi/login.ts';
import { contentOf, makeTemporaryDir } from '../../../fixtures/kimi/tree.ts';

const fault = vi.hoisted((): Fault => ({ step: 0, failAt: undefined, kind: 'crash' }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const { makeFaulty } = await import('../../../fixtures/kimi/faulty-fs.ts');
  return makeFaulty(await importOriginal(), fault);
});

let root: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
});

afterEach(async () => {
  fault.failAt = undefined;
  await rm(root, { recursive: true });
});

const rootsIn = (dir: string): HomeRoots => ({
  home: path.join(dir, 'home'),
  handoff: path.join(dir, 'handoff'),
  state: path.join(dir, 'state'),
  defaultHome: path.join(dir, 'default-home'),
});

const PROVIDER = { baseUrl: 'https://api.example.test/v1', model: 'kimi-for-coding', contextSize: 1000 };

const prepare = async (dir: string, mode: AgentSetup['mode']): Promise<unknown> =>
  prepareHome({ workdir: '/home/op/app', agents: [{ slug: 'kimi', mode, provider: PROVIDER }] }, rootsIn(dir), NOW);

const handOver = async (dir: string, name: string, files: Record<string, string>): Promise<void> => {
  const bytes = Object.entries(files).map(([file, text]) => ({ path: file, bytes: Buffer.from(text) }));
  const others = ['kimi', 'kimi-code'].filter((other) => other !== name);
  await provisionHandoff(
    rootsIn(dir).handoff,
    [{ name, action: 'replace', files: bytes }, ...others.map((other) => ({ name: other, action: 'remove' as const }))],
    { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
  );
};

const EXTRA = 'credentials/kimi-code-env-0e4f99c69cc27850.json';
const OLD = { ...kimiCodeFiles(), [EXTRA]: credential({ serial: 9 }) };
const RENEWED = credential({ serial: 2, expiresAt: minutes(20) });
const NEW = kimiCodeFiles(credential({ serial: 3, expiresAt: minutes(60) }), `${KIMI_CODE_CONFIG}# new\n`);

const renewInside = (dir: string): Promise<void> =>
  writeFile(path.join(dir, 'home/.kimi-code/credentials/kimi-code.json'), RENEWED);

/** What was there before, and the mode that the interrupted start is in. */
const scenarios: Record<string, { before: (dir: string) => Promise<unknown>; mode: AgentSetup['mode'] }> = {
  'the first launch': {
    before: async (dir) => {
      await writeFiles(path.join(dir, 'default-home'), { '.zshrc': 'long enough to be half', '.kimi-code/skills/a.md': 'as long as the other' });
      await handOver(dir, 'kimi-code', NEW);
    },
    mode: 'sync',
  },
  'a newer login of the host': {
    before: async (dir) => {
      await handOver(dir, 'kimi-code', OLD);
      await prepare(dir, 'sync');
      await renewInside(dir);
      await writeFiles(path.join(dir, 'home/.kimi-code'), { 'config.toml': `${KIMI_CODE_CONFIG}# inside\n`, device_id: 'inside' });
      await handOver(dir, 'kimi-code', NEW);
    },
    mode: 'sync',
  },
  'a login of kimi-cli after one of Kimi Code': {
    before: async (dir) => {
      await handOver(dir, 'kimi-code', OLD);
      await prepare(dir, 'sync');
      await handOver(dir, 'kimi', kimiCliFiles(credential({ serial: 4 })));
    },
    mode: 'sync',
  },
  'leaving sync, with a copy of a replaced login': {
    before: async (dir) => {
      await handOver(dir, 'kimi-code', OLD);
      await prepare(dir, 'sync');
      await renewInside(dir);
      await handOver(dir, 'kimi-code', NEW);
      await prepare(dir, 'sync');
    },
    mode: 'ignore',
  },
  'from sync to a key': {
    before: async (dir) => {
      await handOver(dir, 'kimi-code', OLD);
      await prepare(dir, 'sync');
    },
    mode: 'api_key',
  },
  'a key beside a configuration of one’s own': {
    before: (dir) => writeFiles(path.join(dir, 'home/.kimi-code'), { 'config.toml': 'default_model = "mine"\n' }),
    mode: 'api_key',
  },
  'from a key to sync': {
    before: async (dir) => {
      await prepare(dir, 'api_key');
      await handOver(dir, 'kimi-code', NEW);
    },
    mode: 'sync',
  },
  'from a key to nothing': {
    before: async (dir) => {
      await writeFiles(path.join(dir, 'home/.kimi-code'), { 'config.toml': 'default_model = "mine"\n' });
      await prepare(dir, 'api_key');
    },
    mode: 'ignore',
  },
};

/** What a failure of the disk is called. */
const codeOf = (kind: string, error: unknown): string | undefined =>
  error === undefined ? undefined : kind === 'ENOSPC' ? 'disk.full' : 'failed';

const BACKUP = /\/\.jackin\/backups\/[^/]+/;

/** Home and state. A crash may leave one more copy of a replaced login: all copies count as one. */
const outcomeOf = async (dir: string): Promise<Record<string, string>> => {
  const content = Object.entries(await contentOf(dir)).filter(([file]) => /^(home|state)\//.test(file));
  return Object.fromEntries(content.map(([file, text]) => [file.replace(BACKUP, '/.jackin/backups/one'), text]));
};

const isLoginFile = (file: string): boolean =>
  /(config\.toml|device_id|credentials\/[^/]+\.json)$/.test(file) && !file.includes('/.jackin/');

describe.each(Object.entries(scenarios))('%s', (name, { before, mode }) => {
  // The steps of a full disk are those of a crash with the cleaning up added: one road shows it.
  const kinds = name === 'a newer login of the host' ? ['crash', 'ENOSPC'] : ['crash'];

  test.each(kinds)('survives %s at any step', { timeout: 120_000 }, async (kind) => {
    const start = path.join(root, 'start');
    await mkdir(path.join(start, 'home'), { recursive: true });
    await before(start);
    const old = await outcomeOf(start);
    const whole = path.join(root, 'whole');
    await cp(start, whole, { recursive: true, verbatimSymlinks: true });
    await prepare(whole, mode);
    const expected = await outcomeOf(whole);

    for (let failAt = 1; ; failAt += 1) {
      const dir = path.join(root, 'run');
      await cp(start, dir, { recursive: true, verbatimSymlinks: true });
      Object.assign(fault, { step: 0, failAt, kind });
      const failed = await prepare(dir, mode).then(
        () => undefined,
        (error: unknown) => error,
      );
      const steps = fault.step;
      fault.failAt = undefined;

      expect(failed instanceof JackinError ? failed.code : undefined).toBe(codeOf(kind, failed));
      for (const [file, text] of Object.entries(await outcomeOf(dir)).filter(([one]) => isLoginFile(one))) {
        expect([old[file], expected[file]], `${file} after step ${failAt}`).toContain(text);
      }
      await prepare(dir, mode);
      expect(await outcomeOf(dir), `healed after step ${failAt}`).toEqual(expected);
      await rm(dir, { recursive: true });
      if (steps < failAt) break;
      expect(failAt).toBeLessThan(500);
    }
  });
});
