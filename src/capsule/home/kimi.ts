import { lstat, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS } from '../../agents/agents.ts';
import { sha256 } from '../../agents/judge.ts';
import { type KimiGeneration, listCredentials, parseKimiConfig } from '../../agents/kimi-config.ts';
import { NO_MIGRATION_FILE, trustFile } from '../../agents/kimi-home.ts';
import { CONFIG_FILE, CREDENTIALS_DIR, isLoginPath, judgeCredential, keyDigest, slotFile } from '../../agents/kimi-login.ts';
import { KIMI_CLI_HOME, KIMI_CODE_HOME } from '../../agents/placed-login.ts';
import { unlessMissing } from '../../shared/atomic-files.ts';
import { isErrno } from '../../shared/errors.ts';
import { readFiles } from '../../shared/read-set.ts';
import type { AgentSetup, LoginOutcome } from '../protocol.ts';
import { decide } from './decide.ts';
import { addProvider, removeProvider } from './kimi-provider.ts';
import type { Place } from './place.ts';
import { readHandoff, readHome } from './read-login.ts';
import type { SeedRecord } from './record.ts';
import { reconcile } from './reconcile.ts';
import { forgetLogin } from './removal.ts';
import type { HomeRoots } from './roots.ts';
import { finishChange, makeHomeDir, writeHomeFile } from './swap.ts';

type Outcome = Omit<LoginOutcome, 'slug'>;

const GENERATIONS = [
  { dir: KIMI_CODE_HOME, generation: 'kimi-code' },
  { dir: KIMI_CLI_HOME, generation: 'kimi' },
] as const;

const placeOf = ({ home, state }: HomeRoots): Place => ({
  slug: 'kimi',
  home,
  state,
  dir: KIMI_CODE_HOME,
  written: [
    ...[KIMI_CODE_HOME, `${KIMI_CODE_HOME}/workspace-trust`, KIMI_CLI_HOME].map((dir) => ({ dir })),
    ...[KIMI_CODE_HOME, KIMI_CLI_HOME].map((dir) => ({ dir: `${dir}/${CREDENTIALS_DIR}`, deep: true })),
  ],
});

/**
 * Makes Kimi's home ready: finishes what an earlier start began, brings the
 * login in line with the mode, and answers the questions of a first start.
 */
export const prepareKimi = async (setup: AgentSetup, workdir: string, roots: HomeRoots, now: Date): Promise<LoginOutcome> => {
  const place = placeOf(roots);
  await makeHomeDir(roots.home, KIMI_CODE_HOME);
  await finishChange(place);
  const outcome = await bringInLine(setup, place, roots, now);
  await answerFirstQuestions(roots.home, workdir, now);
  return { slug: setup.slug, ...outcome };
};

const bringInLine = async (setup: AgentSetup, place: Place, { home, handoff }: HomeRoots, now: Date): Promise<Outcome> => {
  if (setup.mode !== 'api_key') await removeProvider(place);
  if (setup.mode === 'sync') {
    const isDead = (file: string, bytes: Buffer): boolean =>
      file.endsWith('.json') && judgeCredential(bytes.toString('utf8'), now).state === 'dead';
    const { winner, why } = await reconcile(place, (await readHandoff(AGENTS.kimi, handoff, now))?.login, await readHome(AGENTS.kimi, home, now), isDead, now);
    return { outcome: winner, why };
  }
  const removed = await forgetKimi(place);
  if (setup.mode === 'api_key') {
    const provider = setup.provider ?? AGENTS.kimi.apiKeyProvider;
    if (provider === undefined) throw new Error('there is no endpoint for the key of Kimi');
    await addProvider(place, provider, now);
    return { outcome: 'provider', why: `Kimi reads KIMI_API_KEY for ${provider.model} at ${provider.baseUrl}.` };
  }
  if (removed) return { outcome: 'removed', why: 'The login that jackin had placed is gone from the container.' };
  const own = decide(undefined, undefined, (await readHome(AGENTS.kimi, home, now)).view);
  return own.winner === 'home'
    ? { outcome: 'home', why: 'No login is handed over; the one made in the container stays.' }
    : { outcome: 'none', why: 'No login is handed over.' };
};

/**
 * A login that was made in the container under another name stays, and so does a
 * configuration that no longer speaks of the forwarded one.
 */
const forgetKimi = async (place: Place): Promise<boolean> => {
  const files = new Map<string, Buffer>();
  for (const { dir } of GENERATIONS) {
    for (const [file, bytes] of (await readFiles(path.join(place.home, dir), isLoginPath)) ?? []) files.set(`${dir}/${file}`, bytes);
  }
  const removed = await forgetLogin(place, files, isForwarded);
  if (removed) for (const { dir } of GENERATIONS) await removeIfEmpty(path.join(place.home, dir, CREDENTIALS_DIR));
  return removed;
};

const isForwarded = (file: string, bytes: Buffer, record: SeedRecord): boolean => {
  const [dir = '', ...rest] = file.split('/');
  // A credential that was renewed inside is still the forwarded login.
  if (rest[0] === CREDENTIALS_DIR || record.files[file] === sha256(bytes)) return true;
  const generation = GENERATIONS.find((one) => one.dir === dir)?.generation;
  return generation !== undefined && rest.join('/') === CONFIG_FILE && speaksOfLogin(dir, bytes, generation, record);
};

/** Kimi itself rewrites its configuration, so equal bytes alone are too little to go by. */
const speaksOfLogin = (dir: string, bytes: Buffer, generation: KimiGeneration, record: SeedRecord): boolean => {
  const parsed = parseKimiConfig(bytes.toString('utf8'));
  if ('broken' in parsed) return false;
  return listCredentials(parsed.config, generation).some((credential) =>
    credential.kind === 'slot'
      ? Object.hasOwn(record.files, `${dir}/${slotFile(credential.slot)}`)
      : record.keys.includes(keyDigest(credential)),
  );
};

const removeIfEmpty = async (dir: string): Promise<void> => {
  await rmdir(dir).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
  });
};

const answerFirstQuestions = async (home: string, workdir: string, now: Date): Promise<void> => {
  const trust = trustFile(workdir, now);
  const answers = [trust, { path: NO_MIGRATION_FILE, text: '' }];
  for (const { path: name, text } of answers) {
    const file = path.join(KIMI_CODE_HOME, name);
    const found = await unlessMissing(lstat(path.join(home, file)));
    if (!found?.isFile()) await writeHomeFile(home, file, text);
  }
};
