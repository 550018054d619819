import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS } from '../../agents/agents.ts';
import { listCredentials } from '../../agents/kimi-config.ts';
import { NO_MIGRATION_FILE, trustFile } from '../../agents/kimi-home.ts';
import { judgeCredential, keyDigest, sha256 } from '../../agents/kimi-login.ts';
import { unlessMissing } from '../../shared/atomic-files.ts';
import type { AgentSetup, LoginOutcome } from '../protocol.ts';
import { decide } from './decide.ts';
import { KIMI_CODE_HOME, type PlacedLogin, readHandoffLogin, readHomeLogin, viewOf } from './kimi-login.ts';
import { addProvider, removeProvider } from './kimi-provider.ts';
import { forgetLogin } from './kimi-removal.ts';
import { readRecord, type SeedRecord, writeRecord } from './record.ts';
import { backUp, changeHome, finishChange, makeHomeDir, writeHomeFile } from './swap.ts';

export interface KimiRoots {
  home: string;
  handoff: string;
  state: string;
}

type Outcome = Omit<LoginOutcome, 'slug'>;

/**
 * Makes Kimi's home ready: finishes what an earlier start began, brings the
 * login in line with the mode, and answers the questions of a first start.
 */
export const prepareKimi = async (setup: AgentSetup, workdir: string, roots: KimiRoots, now: Date): Promise<LoginOutcome> => {
  await makeHomeDir(roots.home, KIMI_CODE_HOME);
  await finishChange(roots.home, roots.state);
  const outcome = await bringInLine(setup, roots, now);
  await answerFirstQuestions(roots.home, workdir, now);
  return { slug: setup.slug, ...outcome };
};

const bringInLine = async (setup: AgentSetup, roots: KimiRoots, now: Date): Promise<Outcome> => {
  if (setup.mode !== 'api_key') await removeProvider(roots);
  if (setup.mode === 'sync') return reconcile(roots, now);
  const removed = await forgetLogin(roots);
  if (setup.mode === 'api_key') {
    const provider = setup.provider ?? AGENTS.kimi.apiKeyProvider;
    if (provider === undefined) throw new Error('there is no endpoint for the key of Kimi');
    await addProvider(roots, provider, now);
    return { outcome: 'provider', why: `Kimi reads KIMI_API_KEY for ${provider.model} at ${provider.baseUrl}.` };
  }
  if (removed) return { outcome: 'removed', why: 'The login that jackin had placed is gone from the container.' };
  const own = decide(undefined, undefined, viewOf(await readHomeLogin(roots.home, now)));
  return own.winner === 'home'
    ? { outcome: 'home', why: 'No login is handed over; the one made in the container stays.' }
    : { outcome: 'none', why: 'No login is handed over.' };
};

const reconcile = async (roots: KimiRoots, now: Date): Promise<Outcome> => {
  const record = await readRecord(roots.state);
  const handoff = await readHandoffLogin(roots.handoff, now);
  const home = await readHomeLogin(roots.home, now);
  const { winner, why } = decide(record.credential, viewOf(handoff), viewOf(home));
  if (handoff !== undefined && winner === 'handoff') await takeAll(handoff, home, record, roots, now);
  if (handoff !== undefined && winner === 'same') await takeSettings(handoff, home, record, roots);
  return { outcome: winner, why };
};

const seedOf = ({ files, login }: PlacedLogin): SeedRecord => ({
  credential: login.digest,
  files: Object.fromEntries([...files].map(([file, bytes]) => [file, sha256(bytes)])),
  keys: listCredentials(login.config, 'kimi-code').flatMap((credential) =>
    credential.kind === 'slot' ? [] : [keyDigest(credential)],
  ),
});

/** The host's login wins: it replaces what is there, settings included. */
const takeAll = async (
  handoff: PlacedLogin,
  home: PlacedLogin,
  record: SeedRecord,
  { home: root, state }: KimiRoots,
  now: Date,
): Promise<void> => {
  const alive = [...home.files].filter(([file, bytes]) => !isDeadCredential(file, bytes, now));
  // What was only seeded and never changed is no loss: the host has it, or had it.
  const isLoss = alive.some(([file, bytes]) => record.files[file] !== sha256(bytes) && !handoff.files.get(file)?.equals(bytes));
  if (isLoss) await backUp(root, new Map(alive), now);
  const remove = Object.keys(record.files).filter((file) => !handoff.files.has(file));
  await changeHome(root, state, { write: handoff.files, remove, record: seedOf(handoff) });
};

const isDeadCredential = (file: string, bytes: Buffer, now: Date): boolean =>
  file.endsWith('.json') && judgeCredential(bytes.toString('utf8'), now).state === 'dead';

/** One credential on both sides: other files that only the host has changed since are taken, or go. */
const takeSettings = async (
  handoff: PlacedLogin,
  home: PlacedLogin,
  record: SeedRecord,
  { home: root, state }: KimiRoots,
): Promise<void> => {
  const seed = seedOf(handoff);
  const files: Record<string, string> = {};
  const write = new Map<string, Buffer>();
  const remove: string[] = [];
  for (const file of new Set([...Object.keys(record.files), ...handoff.files.keys()])) {
    const seeded = record.files[file];
    const onHost = seed.files[file];
    const bytes = home.files.get(file);
    const here = bytes === undefined ? undefined : sha256(bytes);
    if (here !== undefined && here !== seeded && here !== onHost) {
      // Changed inside: it stays, and what was seeded stays on record.
      if (seeded !== undefined) files[file] = seeded;
    } else if (onHost === undefined) {
      remove.push(file);
    } else {
      files[file] = onHost;
      if (onHost !== seeded && onHost !== here) write.set(file, handoff.files.get(file)!);
    }
  }
  const next = { ...seed, files };
  if (write.size > 0 || remove.length > 0) await changeHome(root, state, { write, remove, record: next });
  else if (JSON.stringify(next) !== JSON.stringify(record)) await writeRecord(state, next);
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
