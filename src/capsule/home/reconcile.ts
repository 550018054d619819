import { sha256 } from '../../agents/judge.ts';
import type { PlacedLogin } from '../../agents/placed-login.ts';
import { decide, type Decision } from './decide.ts';
import type { Place } from './place.ts';
import { readRecord, type SeedRecord, writeRecord } from './record.ts';
import { backUp, changeHome } from './swap.ts';

/**
 * Brings the login of a container's home in line with the one that the host hands
 * over; `handoff` is undefined when there is none. A dead login never replaces one
 * that lives, and what loses is kept as a backup. `isDead` tells which files of
 * the home are worth no backup.
 */
export const reconcile = async (
  place: Place,
  handoff: PlacedLogin | undefined,
  home: PlacedLogin,
  isDead: (file: string, bytes: Buffer) => boolean,
  now: Date,
): Promise<Decision> => {
  const record = await readRecord(place);
  const decision = decide(record.credential, handoff?.view, home.view);
  if (handoff !== undefined && decision.winner === 'handoff') await takeAll(place, handoff, home, record, isDead, now);
  if (handoff !== undefined && decision.winner === 'same') await takeSettings(place, handoff, home, record);
  return decision;
};

const seedOf = ({ files, view, keys }: PlacedLogin, { account }: SeedRecord): SeedRecord => ({
  ...(view !== undefined && { credential: view.digest }),
  files: Object.fromEntries([...files].map(([file, bytes]) => [file, sha256(bytes)])),
  keys,
  ...(account !== undefined && { account }),
});

/** The host's login wins: it replaces what is there, settings included. */
const takeAll = async (
  place: Place,
  handoff: PlacedLogin,
  home: PlacedLogin,
  record: SeedRecord,
  isDead: (file: string, bytes: Buffer) => boolean,
  now: Date,
): Promise<void> => {
  const alive = [...home.files].filter(([file, bytes]) => !isDead(file, bytes));
  // What was only seeded and never changed is no loss: the host has it, or had it.
  const isLoss = alive.some(([file, bytes]) => record.files[file] !== sha256(bytes) && !handoff.files.get(file)?.equals(bytes));
  if (isLoss) await backUp(place, new Map(alive), now);
  const remove = Object.keys(record.files).filter((file) => !handoff.files.has(file));
  await changeHome(place, { write: handoff.files, remove, record: seedOf(handoff, record) });
};

/** One credential on both sides: other files that only the host has changed since are taken, or go. */
const takeSettings = async (place: Place, handoff: PlacedLogin, home: PlacedLogin, record: SeedRecord): Promise<void> => {
  const seed = seedOf(handoff, record);
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
  if (write.size > 0 || remove.length > 0) await changeHome(place, { write, remove, record: next });
  else if (JSON.stringify(next) !== JSON.stringify(record)) await writeRecord(place, next);
};
