import path from 'node:path';
import { defaultModelOf, type KimiGeneration, listAliases } from '../agents/kimi-config.ts';
import { CREDENTIALS_DIR, generationOf, isLoginPath, judgeCredential, judgeLogin, type KimiFiles } from '../agents/kimi-login.ts';
import type { LoginState } from '../agents/login-facts.ts';
import { isoTime, type LoginSet, noLogin, openSource, type Source, type SourceOptions } from './source.ts';

interface KimiSource extends Source {
  /** Product to assume when the content does not tell. */
  usual: KimiGeneration;
}

const EXPECTED = 'config.toml, credentials/ and device_id';

/**
 * Reads the host's Kimi login: from `sourceDir`, else from the first of Kimi
 * Code's and kimi-cli's own directories that holds one that can work. Changes
 * nothing there. A login that is there but cannot be read is an error.
 */
export const readKimi = async (options: SourceOptions): Promise<LoginSet> => {
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

const sourcesOf = ({ sourceDir, home, env }: SourceOptions): KimiSource[] => {
  if (sourceDir !== undefined) return [{ dir: path.resolve(home, sourceDir), from: 'sync_source_dir', usual: 'kimi-code' }];
  const place = (override: string | undefined, usual: KimiGeneration): KimiSource => ({
    dir: path.resolve(home, override || `.${usual}`),
    from: 'default',
    usual,
  });
  return [place(env['KIMI_CODE_HOME'], 'kimi-code'), place(env['KIMI_SHARE_DIR'], 'kimi')];
};

const examine = async (source: KimiSource, options: SourceOptions): Promise<LoginSet> => {
  const opened = await openSource(source, 'Kimi', EXPECTED, options.uid, { wanted: isLoginPath });
  if ('why' in opened) return noLogin('kimi', source, source.dir, opened.why);
  const { dir, tree } = opened;
  const { files } = tree;
  if (files.size === 0 && tree.skipped.length === 0) {
    return noLogin('kimi', source, dir, `${dir} holds nothing of Kimi: ${EXPECTED} are expected directly inside.`);
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

const judgeFiles = (files: KimiFiles, now: Date): Map<string, { state: LoginState; why: string }> =>
  new Map(
    [...files]
      .filter(([file]) => file.startsWith(`${CREDENTIALS_DIR}/`) && file.endsWith('.json'))
      .map(([file, bytes]) => [file, judgeCredential(bytes.toString('utf8'), now)]),
  );

const stateOf = (verdict: { state: LoginState } | undefined): { state?: LoginState } =>
  verdict === undefined ? {} : { state: verdict.state };
