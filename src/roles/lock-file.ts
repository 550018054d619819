import { unlink } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'smol-toml';
import * as z from 'zod';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { isProblem, MAX_TOML_BYTES, parseDocument } from '../config/document.ts';
import type { Paths } from '../config/paths.ts';
import { configError } from '../config/problems.ts';
import { validateDocument } from '../config/validate.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { ensureDir, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { readBounded } from '../shared/read-bounded.ts';
import { LOCK_FILE } from '../shared/context-files.ts';
import { roleDir } from './role-cache.ts';

const packages = z
  .array(
    z.strictObject({
      name: z.string().describe('Package of the npm registry.'),
      version: z.string().describe('Exact version.'),
      integrity: z.string().describe('Digest that the registry gives.'),
    }),
  )
  .min(1);

const LockSchema = z.strictObject({
  version: z.literal(1),
  role: z.string(),
  source: z.string().optional(),
  commit: z.string().regex(/^[0-9a-f]{40,64}$/, 'expected a whole commit').optional(),
  content: z.string(),
  construct: z.string(),
  agents: z.strictObject(
    Object.fromEntries(AGENT_SLUGS.map((slug) => [slug, z.strictObject({ version: z.string(), packages }).optional()])) as Record<
      AgentSlug,
      z.ZodOptional<z.ZodObject<{ version: z.ZodString; packages: typeof packages }, z.core.$strict>>
    >,
  ),
});

/** What a role was pinned to: its files, the construct, and the agents with the digest of every package. */
export type RoleLock = z.infer<typeof LockSchema>;

const HEADER = '# Written by `jackin role pin`: what a launch of this role uses. `jackin load --locked` refuses anything else.\n';

/** Where the lock of a role stands: in a folder of the operator's beside its files, else beside what is cached. */
export const lockFileOf = (paths: Paths, { key, source }: Pick<RoleFacts, 'key' | 'source'>): string =>
  path.join(source.kind === 'folder' ? source.path : roleDir(paths, key), LOCK_FILE);

/** The lock of a role; undefined when it is not pinned. Throws `config.invalid`, with its lines, for one that cannot be understood. */
export const readLock = async (file: string): Promise<RoleLock | undefined> => {
  let text: string | undefined;
  try {
    text = await readBounded(file, MAX_TOML_BYTES);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new JackinError('failed', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
  if (text === undefined) throw new JackinError('config.invalid', `${file} is not a plain file`);
  const document = parseDocument(file, text);
  if (isProblem(document)) throw configError([document]);
  const result = validateDocument(LockSchema, document);
  if (!result.ok) throw configError(result.problems);
  return result.value;
};

export const writeLock = async (file: string, lock: RoleLock): Promise<void> => {
  await ensureDir(path.dirname(file));
  await writeFileAtomic(file, `${HEADER}${stringify(lock)}\n`);
};

/** Whether there was one to remove. */
export const removeLock = async (file: string): Promise<boolean> => {
  return (await unlessMissing(unlink(file).then(() => true))) ?? false;
};
