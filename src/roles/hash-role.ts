import { createHash } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { JackinError } from '../shared/errors.ts';

/** Stands beside the files of a pinned role, and says what they are: it is none of them. */
export const LOCK_FILE = 'jackin.lock';

const MAX_FILES = 2000;
const MAX_BYTES = 64 * 1024 * 1024;

/** SHA-256 over names, modes and contents, so that a role's image is built again when one of them changes. */
export const hashRole = async (root: string): Promise<string> => {
  const hash = createHash('sha256');
  let files = 0;
  let bytes = 0;
  const walk = async (relative: string): Promise<void> => {
    const entries = await readdir(path.join(root, relative), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = path.posix.join(relative, entry.name);
      if (entry.name === '.git' || name === LOCK_FILE) continue;
      if (entry.isSymbolicLink()) throw linkInRole(path.join(root, name));
      if (entry.isDirectory()) {
        await walk(name);
      } else if (entry.isFile()) {
        const stat = await lstat(path.join(root, name));
        files += 1;
        bytes += stat.size;
        if (files > MAX_FILES || bytes > MAX_BYTES) throw roleTooLarge(root);
        hash.update(JSON.stringify([name, stat.mode & 0o111, stat.size])).update(await readFile(path.join(root, name)));
      }
    }
  };
  await walk('');
  return hash.digest('hex');
};

const linkInRole = (file: string): JackinError =>
  new JackinError('usage', `${file} is a link: a role holds no links, they could lead out of it`, {
    hint: 'put a copy of the file in its place',
  });

const roleTooLarge = (root: string): JackinError =>
  new JackinError('usage', `the role in ${root} is larger than ${MAX_FILES} files or ${MAX_BYTES / 1024 / 1024} MiB`, {
    hint: 'keep only the Dockerfile, jackin.role.toml and what the Dockerfile copies',
  });
