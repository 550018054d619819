import { createHash } from 'node:crypto';
import { trimTail } from '../shared/trim.ts';

/** The questions that Kimi Code asks at its first start in a folder, and the files that answer them. */

/** Says that there is nothing to migrate from kimi-cli. */
export const NO_MIGRATION_FILE = '.skip-migration-from-kimi-cli';

/** Name under which Kimi Code files what it knows of a folder. */
const workspaceKey = (folder: string): string => {
  const root = trimTail(folder, '/');
  const slug = (root.split('/').at(-1) ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40)
    .replaceAll(/^-+|-+$/g, '');
  const name = ['', '.', '..'].includes(slug) ? 'workspace' : slug;
  return `wd_${name}_${createHash('sha256').update(root).digest('hex').slice(0, 12)}`;
};

/** The file, below the Kimi Code home, that says an absolute folder is trusted. */
export const trustFile = (folder: string, now: Date): { path: string; text: string } => ({
  path: `workspace-trust/${workspaceKey(folder)}`,
  text: JSON.stringify({ root: folder.slice(0, 1) + trimTail(folder.slice(1), '/'), trustedAt: now.getTime() }),
});
