import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { defaultModelOf, type KimiGeneration, listAliases } from '../agents/kimi-config.ts';
import { CREDENTIALS_DIR, generationOf, isLoginPath, judgeCredential, judgeLogin, type KimiFiles } from '../agents/kimi-login.ts';
import type { LoginFacts, LoginState } from '../agents/login-facts.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { readTree, type Tree } from '../shared/safe-read.ts';

export interface KimiSourceOptions {
  /** The Kimi directory to use instead of the default ones, of either generation. */
  sourceDir?: string;
  home: string;
  env: Readonly<Record<string, string | undefined>>;
  /** The operator's user id. */
  uid: number;
  now: Date;
}

export interface LoginSet {
  facts: LoginFacts;
  /** What to hand over, byte for byte; undefined when there is no login that could work. Holds secrets. */
  set: { name: KimiGeneration; files: { path: string; bytes: Buffer }[] } | undefined;
}

interface Source {
  dir: string;
  from: LoginFacts['from'];
  /** Product to assume when the content does not tell. */
  usual: KimiGeneration;
}

const EXPECTED = 'config.toml, credentials/ and device_id';

/** What the host's Kimi login is, without a secret. Reads only. */
export const inspectKimi = async (options: KimiSourceOptions): Promise<LoginFacts> => (await readKimi(options)).facts;

/**
 * Reads the host's Kimi login: from `sourceDir`, else from the first of Kimi
 * Code's and kimi-cli's own directories that holds one that can work. Changes
 * nothing there. A login that is there but cannot be read is an error.
 */
export const readKimi = async (options: KimiSourceOptions): Promise<LoginSet> => {
  const found: LoginSet[] = [];
  for (const source of sourcesOf(options)) {
    const login = await examine(source, options);
    if (login.set !== undefined) return login;
    found.push(login);
  }
  const [first] = found;
  const best =
    found.find(({ facts }) => facts.state === 'dead') ?? found.find(({ facts }) => facts.generation !== null) ?? first;
  if (best === undefined) throw new Error('there is always a place to look');
  if (best.facts.generation !== null || best.facts.from === 'sync_source_dir') return best;
  const places = found.map(({ facts }) => facts.dir).join(' or ');
  return { facts: { ...best.facts, why: `There is no Kimi login in ${places}.` }, set: undefined };
};

const sourcesOf = ({ sourceDir, home, env }: KimiSourceOptions): Source[] => {
  if (sourceDir !== undefined) return [{ dir: path.resolve(home, sourceDir), from: 'sync_source_dir', usual: 'kimi-code' }];
  const place = (override: string | undefined, usual: KimiGeneration): Source => ({
    dir: path.resolve(home, override || `.${usual}`),
    from: 'default',
    usual,
  });
  return [place(env['KIMI_CODE_HOME'], 'kimi-code'), place(env['KIMI_SHARE_DIR'], 'kimi')];
};

const examine = async (source: Source, options: KimiSourceOptions): Promise<LoginSet> => {
  const opened = await openSource(source, options.uid);
  if ('why' in opened) return nothing(source, source.dir, opened.why);
  const { dir, tree } = opened;
  const { files } = tree;
  if (files.size === 0 && tree.skipped.length === 0) {
    return nothing(source, dir, `${dir} holds nothing of Kimi: ${EXPECTED} are expected directly inside.`);
  }
  const generation = generationOf(tree, source.usual);
  const login = judgeLogin(files, generation, options.now);
  const states = judgeFiles(files, options.now);
  const dead = [...states].filter(([, { state }]) => state === 'dead');
  const skipped = [
    ...tree.skipped,
    ...dead.map(([file, { why }]) => ({ path: file, why: `${why}, so it is not handed over` })),
  ];
  const usable = login.state !== 'dead' && login.state !== 'absent';
  const [missed] = tree.skipped;
  const because = login.state === 'absent' && missed ? ` ${missed.path} ${missed.why}.` : '';
  const defaultModel = defaultModelOf(login.config);
  return {
    facts: {
      agent: 'kimi',
      dir,
      from: source.from,
      generation,
      state: login.state,
      refreshable: login.refreshable,
      ...(login.account !== undefined && { account: login.account }),
      ...isoTime(login.expiresAt),
      files: [...files].map(([file, bytes]) => ({ path: file, size: bytes.length, ...stateOf(states.get(file)) })),
      skipped,
      aliases: listAliases(login.config),
      ...(defaultModel !== undefined && { defaultModel }),
      why: `${login.why}${because}`,
    },
    set: usable
      ? {
          name: generation,
          files: [...files]
            .filter(([file]) => states.get(file)?.state !== 'dead')
            .map(([file, bytes]) => ({ path: file, bytes })),
        }
      : undefined,
  };
};

const openSource = async (source: Source, uid: number): Promise<{ dir: string; tree: Tree } | { why: string }> => {
  const name = source.from === 'sync_source_dir' ? `sync_source_dir ${source.dir}` : source.dir;
  try {
    // The directory itself may be a link, as in many dotfile set-ups: followed here, once.
    const dir = await realpath(source.dir);
    if (!(await stat(dir)).isDirectory()) {
      return { why: `${name} is not a directory: a directory with ${EXPECTED} is expected.` };
    }
    // root may forward anyone's login, but never files of several owners as one login.
    const owner = uid === 0 ? 'directory' : uid;
    return { dir, tree: await readTree(dir, { wanted: isLoginPath, owner }) };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return { why: `${name} does not exist: a directory with ${EXPECTED} is expected.` };
    }
    if (error instanceof JackinError) throw error;
    throw new JackinError('auth.missing', `the Kimi login in ${source.dir} cannot be read: ${messageOf(error)}`, {
      hint: 'make the directory readable for you, or name another one with sync_source_dir',
      cause: error,
    });
  }
};

const nothing = (source: Source, dir: string, why: string): LoginSet => ({
  facts: {
    agent: 'kimi',
    dir,
    from: source.from,
    generation: null,
    state: 'absent',
    refreshable: false,
    files: [],
    skipped: [],
    aliases: [],
    why,
  },
  set: undefined,
});

const judgeFiles = (files: KimiFiles, now: Date): Map<string, { state: LoginState; why: string }> =>
  new Map(
    [...files]
      .filter(([file]) => file.startsWith(`${CREDENTIALS_DIR}/`) && file.endsWith('.json'))
      .map(([file, bytes]) => [file, judgeCredential(bytes.toString('utf8'), now)]),
  );

const stateOf = (verdict: { state: LoginState } | undefined): { state?: LoginState } =>
  verdict === undefined ? {} : { state: verdict.state };

/** Beyond what a date can hold (a broken clock, or "never"), the end is left out. */
const isoTime = (seconds: number | undefined): { expiresAt?: string } => {
  const date = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? {} : { expiresAt: date.toISOString() };
};
