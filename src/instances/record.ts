import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { asDiskError, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { readBounded } from '../shared/read-bounded.ts';

const RECORD_VERSION = 2;

const MAX_BYTES = 1024 * 1024;

/** What was asked for when the instance was made, without what belonged to that moment: its session and its consents. */
const MadeForSchema = z.strictObject({
  role: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('name'), key: z.string(), branch: z.string().optional(), commit: z.string().optional() }),
    z.strictObject({ kind: z.literal('folder'), path: z.string() }),
  ]),
  target: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('workspace'), name: z.string() }),
    z.strictObject({ kind: z.literal('directory'), path: z.string() }),
  ]),
  mounts: z.array(z.strictObject({ source: z.string(), target: z.string(), readonly: z.boolean() })),
  networks: z.array(z.string()),
  agent_arguments: z.array(z.string()),
  allowed_mounts: z.array(z.string()),
  /** Account of the login of jackin's own that the command line named. */
  login: z.string().optional(),
});

/** What the host last knew of an instance. Whether its container runs now, only the engine tells. */
const RecordSchema = z.strictObject({
  version: z.literal(RECORD_VERSION),
  instance_id: z.string(),
  container: z.string(),
  network: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
  workspace_name: z.string().nullable(),
  workdir: z.string(),
  role_key: z.string(),
  role_content: z.string(),
  agent: z.string(),
  agent_version: z.string(),
  supported_agents: z.array(z.string()),
  image_tag: z.string(),
  /** Versions of the agents that its container has, by slug. */
  agents_inside: z.record(z.string(), z.string()).optional(),
  /** Missing in records of older versions: such an instance cannot be started again. */
  made_for: MadeForSchema.optional(),
  status: z.enum(['running', 'clean_exited', 'crashed', 'restore_available']),
});

export type InstanceRecord = z.infer<typeof RecordSchema>;
export type MadeFor = z.infer<typeof MadeForSchema>;
export type InstanceStatus = InstanceRecord['status'];

const recordFile = (dataDir: string, container: string): string => path.join(dataDir, container, '.jackin', 'instance.json');

/** Writes `data/<container>/.jackin/instance.json` whole. Makes no folder: a state that was purged must not come back. */
export const writeRecord = async (dataDir: string, record: InstanceRecord): Promise<void> => {
  const file = recordFile(dataDir, record.container);
  try {
    await writeFileAtomic(file, `${JSON.stringify(record, null, 2)}\n`);
  } catch (error) {
    throw asDiskError(error, `writing ${file}`);
  }
};

const isGone = async (dataDir: string, container: string): Promise<boolean> => (await unlessMissing(lstat(path.join(dataDir, container)))) === undefined;

/** The record of one instance; undefined when there is no state of that name, or the launch did not get that far. */
export const readRecord = async (dataDir: string, container: string): Promise<InstanceRecord | undefined> => {
  const file = recordFile(dataDir, container);
  let text: string;
  try {
    text = (await readBounded(file, MAX_BYTES)) ?? '';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new JackinError('failed', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
  try {
    return RecordSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new JackinError('failed', `${file} is not a record that this jackin understands`, {
      hint: 'it was left as it is; a newer jackin may have written it',
      cause: error,
    });
  }
};

/** Changes what is recorded of an instance. Does nothing when its state is gone. */
export const updateRecord = async (dataDir: string, container: string, change: Partial<InstanceRecord>, now: Date): Promise<void> => {
  const record = await readRecord(dataDir, container);
  if (record === undefined) return;
  try {
    await writeRecord(dataDir, { ...record, ...change, updated_at: now.toISOString() });
  } catch (error) {
    if (!(await isGone(dataDir, container))) throw error;
  }
};

/** Says that an instance has a new status. Does nothing when its state is gone. */
export const updateStatus = (dataDir: string, container: string, status: InstanceStatus, now: Date): Promise<void> =>
  updateRecord(dataDir, container, { status }, now);

/** One state directory. Without a record when there is none that this jackin understands: one bad file hides no other instance. */
export interface State {
  container: string;
  record: InstanceRecord | undefined;
}

/** Every state directory of this jackin home. */
export const listStates = async (dataDir: string): Promise<State[]> => {
  let names: string[];
  try {
    names = await readdir(dataDir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new JackinError('failed', `cannot list ${dataDir}: ${messageOf(error)}`, { cause: error });
  }
  const states: State[] = [];
  for (const container of names) {
    if (!container.startsWith('jk-')) continue;
    // Another jackin may have purged it since the folder was listed.
    const found = await unlessMissing(lstat(path.join(dataDir, container)));
    // A link here would be somebody's doing: state is only ever a directory that jackin made.
    if (found?.isDirectory() !== true) continue;
    states.push({ container, record: await readRecord(dataDir, container).catch(() => undefined) });
  }
  return states;
};
