import { access, readFile, readdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Paths } from '../config/paths.ts';
import type { Engine } from '../docker/engine.ts';
import { asDiskError, createPrivateFile, ensureDir } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { isAlive } from '../shared/owner.ts';
import { finishRemovals, removeTree } from './remove-tree.ts';

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
  try {
    await ensureDir(paths.journalDir);
    await createPrivateFile(entryFile(paths, entry.container), `${JSON.stringify(entry)}\n`);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    // A full disk leaves an empty file, which would stand for a launch that nobody makes.
    await unlink(entryFile(paths, entry.container)).catch(() => undefined);
    throw asDiskError(error, `writing the journal in ${paths.journalDir}`);
  }
};

/** Whether a launch has an open entry for it. */
export const isBeingMade = (paths: Paths, container: string): Promise<boolean> =>
  access(entryFile(paths, container)).then(
    () => true,
    () => false,
  );

export const closeJournal = async (paths: Paths, container: string): Promise<void> => {
  await unlink(entryFile(paths, container)).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
};

/** Half an entry is being written now, or its writer died before it made anything: either way there is nothing to undo. */
const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const readEntries = async (paths: Paths): Promise<JournalEntry[]> => {
  let names: string[];
  try {
    names = await readdir(paths.journalDir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new JackinError('failed', `cannot list ${paths.journalDir}: ${messageOf(error)}`, { cause: error });
  }
  const entries: JournalEntry[] = [];
  for (const name of names.filter((entry) => entry.endsWith('.json'))) {
    const file = path.join(paths.journalDir, name);
    const parsed = EntrySchema.safeParse(parseJson(await readFile(file, 'utf8').catch(() => '')));
    // The file's name is what the launch claimed: an entry that names another container is not ours to act on.
    if (parsed.success && entryFile(paths, parsed.data.container) === file) entries.push(parsed.data);
  }
  return entries;
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
  return undone;
};
