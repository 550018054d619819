import { lstat, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS } from '../../agents/agents.ts';
import { sha256 } from '../../agents/judge.ts';
import { type KimiGeneration, listCredentials, parseKimiConfig } from '../../agents/kimi-config.ts';
import { NO_MIGRATION_FILE, trustFile } from '../../agents/kimi-home.ts';
import { CONFIG_FILE, CREDENTIALS_DIR, isLoginPath, judgeCredential, keyDigest, slotFile } from '../../agents/kimi-login.ts';
import { KIMI_CLI_HOME, KIMI_CODE_HOME, type PlacedLogin } from '../../agents/placed-login.ts';
import { unlessMissing } from '../../shared/atomic-files.ts';
import { isErrno } from '../../shared/errors.ts';
import { readFiles } from '../../shared/read-set.ts';
import type { AgentSetup, LoginOutcome } from '../protocol.ts';
import { decide } from './decide.ts';
import { addProvider, removeProvider } from './kimi-provider.ts';
import type { Place } from './place.ts';
import { readHandoff, readHome } from './read-login.ts';
import { readRecord, type SeedRecord } from './record.ts';
import { reconcile } from './reconcile.ts';
import { forgetLogin } from './removal.ts';
import type { HomeRoots } from './roots.ts';
import { backUp, changeHome, finishChange, makeHomeDir, writeHomeFile } from './swap.ts';

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

const bringInLine = async (setup: AgentSetup, place: Place, roots: HomeRoots, now: Date): Promise<Outcome> => {
  const { home, handoff } = roots;
  if (setup.mode !== 'api_key') await removeProvider(place);
  if (setup.mode === 'sync' && setup.leased) {
    const taken = await takeLease(place, roots, now);
    return taken ?? { outcome: 'none', why: 'No lease is handed over yet; the keeper brings one as soon as it can.' };
  }
  if (setup.mode === 'sync') {
    const isDead = (file: string, bytes: Buffer): boolean => isDeadCredential(file, bytes, now);
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

const isDeadCredential = (file: string, bytes: Buffer, now: Date): boolean => file.endsWith('.json') && judgeCredential(bytes.toString('utf8'), now).state === 'dead';

const isCredential = (file: string): boolean => GENERATIONS.some(({ dir }) => file.startsWith(`${dir}/${CREDENTIALS_DIR}/`));

/**
 * The credential that is handed over as a lease, in the place of every one that jackin
 * or somebody in the container has put there: with two owners one would be logged out.
 * Settings are as they were. What could still renew itself is kept as a backup.
 */
const takeCredential = async (place: Place, handoff: PlacedLogin, home: PlacedLogin, now: Date): Promise<void> => {
  const record = await readRecord(place);
  const write = new Map([...handoff.files].filter(([file, bytes]) => isCredential(file) && !home.files.get(file)?.equals(bytes)));
  const remove = Object.keys(record.files).filter((file) => isCredential(file) && !handoff.files.has(file));
  if (write.size === 0 && remove.length === 0) return;
  const replaced = [...home.files].filter(([file]) => write.has(file) || remove.includes(file));
  const loss = replaced.filter(([file, bytes]) => record.files[file] !== sha256(bytes) && judgeCredential(bytes.toString('utf8'), now).refreshable);
  if (loss.length > 0) await backUp(place, new Map(loss), now);
  const files = Object.fromEntries(Object.entries(record.files).filter(([file]) => !remove.includes(file)));
  for (const [file, bytes] of write) files[file] = sha256(bytes);
  await changeHome(place, { write, remove, record: { ...record, files, ...(handoff.view !== undefined && { credential: handoff.view.digest }) } });
};

/** What is handed over, where it is a lease: an earlier launch may have left a copy there, and none be had since. */
const readLease = async (handoff: string, now: Date): Promise<PlacedLogin | undefined> => {
  const login = (await readHandoff(AGENTS.kimi, handoff, now))?.login;
  return login?.view === undefined || login.view.refreshable ? undefined : login;
};

const takeLease = async (place: Place, { home, handoff }: HomeRoots, now: Date): Promise<Outcome | undefined> => {
  const leased = await readLease(handoff, now);
  if (leased === undefined) return undefined;
  await takeCredential(place, leased, await readHome(AGENTS.kimi, home, now), now);
  // One credential on both sides by now: this brings the settings.
  await reconcile(place, leased, await readHome(AGENTS.kimi, home, now), (file, bytes) => isDeadCredential(file, bytes, now), now);
  return { outcome: 'lease', why: 'It has access only; the keeper on the host renews the login.' };
};

/** Takes a newer lease into the home while sessions run: its credential, and nothing else. */
export const takeNewLease = async (roots: HomeRoots, now: Date): Promise<void> => {
  const leased = await readLease(roots.handoff, now);
  if (leased === undefined) return;
  const place = placeOf(roots);
  await finishChange(place);
  await takeCredential(place, leased, await readHome(AGENTS.kimi, roots.home, now), now);
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
