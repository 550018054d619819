import { link, readdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Paths } from '../config/paths.ts';
import type { Engine } from '../docker/engine.ts';
import { asDiskError, createPrivateFile, ensureDir, sweepTemporaries, temporaryName } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { isAlive } from '../shared/owner.ts';
import { readBounded } from '../shared/read-bounded.ts';
import { finishRemovals, removeTree } from './remove-tree.ts';

const MAX_BYTES = 64 * 1024;

/** What a launch is about to make. Written before the first of it exists, removed when the instance stands. */
const EntrySchema = z.strictObject({
  version: z.literal(1),
  owner: z.strictObject({ pid: z.int(), started: z.string(), boot: z.string() }),
  at: z.string(),
  instance_id: z.string(),
  container: z.string(),
  network: z.string(),
  /** The state was there before: undoing leaves it. */
  restores: z.boolean().optional(),
});

export type JournalEntry = z.infer<typeof EntrySchema>;

const entryFile = (paths: Paths, container: string): string => path.join(paths.journalDir, `${container}.json`);

/** Opens an entry. False when there is one of that name: the id is taken by a launch that goes on or has to be undone. */
export const openJournal = async (paths: Paths, entry: JournalEntry): Promise<boolean> => {
  const file = entryFile(paths, entry.container);
  const draft = temporaryName(file);
  try {
    await ensureDir(paths.journalDir);
    await createPrivateFile(draft, `${JSON.stringify(entry)}\n`);
    // It appears whole: half an entry names no process, and would stand for a launch that never ends.
    await link(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw asDiskError(error, `writing the journal in ${paths.journalDir}`);
  } finally {
    await unlink(draft).catch(() => undefined);
  }
};

export const closeJournal = async (paths: Paths, container: string): Promise<void> => {
  await unlink(entryFile(paths, container)).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
};

/** Half an entry was left by an older version that died before it made anything: there is nothing to undo. */
const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** A name of one step: an empty one, or one with dots, would be the folder of all states, which undoing removes. */
const isContainer = (name: string): boolean => /^jk-[\w-]+$/.test(name);

/** The entry in a file; undefined when it is gone or makes no sense. */
const readEntry = async (paths: Paths, file: string): Promise<JournalEntry | undefined> => {
  const parsed = EntrySchema.safeParse(parseJson((await readBounded(file, MAX_BYTES).catch(() => undefined)) ?? ''));
  // The file's name is what the launch claimed: an entry that names another container is not ours to act on.
  if (!parsed.success) return undefined;
  const { container } = parsed.data;
  return isContainer(container) && entryFile(paths, container) === file ? parsed.data : undefined;
};

const readEntries = async (paths: Paths): Promise<JournalEntry[]> => {
  let names: string[];
  try {
    names = await readdir(paths.journalDir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new JackinError('failed', `cannot list ${paths.journalDir}: ${messageOf(error)}`, { cause: error });
  }
  const files = names.filter((name) => name.endsWith('.json')).map((name) => path.join(paths.journalDir, name));
  const entries = await Promise.all(files.map((file) => readEntry(paths, file)));
  return entries.filter((entry) => entry !== undefined);
};

/** The launches that living processes are making, with the process of each, by container. */
export const listLaunches = async (paths: Paths): Promise<Map<string, JournalEntry>> =>
  new Map((await readEntries(paths)).filter(({ owner }) => isAlive(owner)).map((entry) => [entry.container, entry]));

/** The process that is launching an instance; undefined when none does. */
export const launcherOf = async (paths: Paths, container: string): Promise<number | undefined> => {
  const entry = await readEntry(paths, entryFile(paths, container));
  return entry !== undefined && isAlive(entry.owner) ? entry.owner.pid : undefined;
};

/**
 * Removes a container, its network and the state that came with it; whatever is already gone is
 * fine. Only what carries the label of this home and this instance is touched.
 */
export const undoLaunch = async (engine: Engine, paths: Paths, homeId: string, entry: JournalEntry): Promise<void> => {
  const labels = { 'jackin.home': homeId, 'jackin.instance': entry.instance_id };
  for (const container of await engine.listContainers(labels)) await engine.removeContainer(container.id);
  for (const network of await engine.listNetworks(labels)) await engine.removeNetwork(network.name);
  if (entry.restores !== true) await removeTree(path.join(paths.dataDir, entry.container));
  await closeJournal(paths, entry.container);
};

/** Removes the temporary files that killed commands left in the states and beside them. */
const sweepLeftovers = async (paths: Paths): Promise<void> => {
  const states = await readdir(paths.dataDir).catch((): string[] => []);
  const folders = states.filter((name) => name.startsWith('jk-')).map((name) => path.join(paths.dataDir, name, '.jackin'));
  await Promise.all([path.dirname(paths.homeIdFile), paths.journalDir, ...folders].map((folder) => sweepTemporaries(folder)));
};

/**
 * Undoes the launches whose process died before the instance stood, and finishes
 * removals that were cut short. What a living process is making is left alone.
 * Returns the names of the containers undone.
 */
export const recoverJournal = async (engine: Engine, paths: Paths, homeId: string): Promise<string[]> => {
  const undone: string[] = [];
  for (const entry of await readEntries(paths)) {
    if (isAlive(entry.owner)) continue;
    await undoLaunch(engine, paths, homeId, entry);
    undone.push(entry.container);
  }
  await finishRemovals(paths.dataDir);
  await sweepLeftovers(paths);
  return undone;
};
