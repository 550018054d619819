import { createHash } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ID_LENGTH = 8;
const MAX_LENGTH = 58;
const HASH_LENGTH = 4;

/** An instance id out of eight random bytes: the low five bits of each pick a symbol. */
export const instanceId = (random: Uint8Array): string =>
  Array.from(random.subarray(0, ID_LENGTH), (byte) => ALPHABET[byte & 31]).join('');

export const isInstanceId = (text: string): boolean => new RegExp(`^[${ALPHABET}]{${ID_LENGTH}}$`).test(text);

const compact = (text: string, fallback: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '') || fallback;

const cut = (text: string, budget: number): string => {
  if (text.length <= budget) return text;
  const hash = createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH);
  return text.slice(0, budget - HASH_LENGTH) + hash;
};

/** Last segment of a role key: the namespace is not part of a container's name. */
export const roleSegment = (role: string): string => role.split('/').at(-1)!;

/**
 * `jk-<id>-<workspace>-<role>`, or `jk-<id>-<role>` without a saved workspace; at
 * most 58 characters. For people to recognise: matching goes by labels.
 */
export const containerName = (id: string, workspace: string | null, role: string): string => {
  const rolePart = compact(roleSegment(role), 'role');
  if (workspace === null) return `jk-${id}-${cut(rolePart, MAX_LENGTH - 'jk'.length - ID_LENGTH - 2)}`;
  const workspacePart = compact(workspace, 'workspace');
  const budget = MAX_LENGTH - 'jk'.length - ID_LENGTH - 3;
  if (workspacePart.length + rolePart.length <= budget) return `jk-${id}-${workspacePart}-${rolePart}`;
  return `jk-${id}-${cut(workspacePart, Math.floor(budget / 2))}-${cut(rolePart, Math.ceil(budget / 2))}`;
};

export const networkName = (container: string): string => `${container}-net`;
