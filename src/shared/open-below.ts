import fs, { constants } from 'node:fs';
import { closeDirectory, type Directory, entryOf, openBelow, openDirectory } from './directory.ts';
import { isErrno, JackinError } from './errors.ts';

const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

const notPlain = (root: string, name: string): JackinError =>
  new JackinError('failed', `${name} in ${root} is no plain file, or lies behind a link: neither is read`, { hint: 'put a copy of the file in its place' });

const openPlain = (directory: Directory, base: string, refused: JackinError): number => {
  try {
    const file = fs.openSync(entryOf(directory, base), OPEN);
    if (fs.fstatSync(file).isFile()) return file;
    fs.closeSync(file);
    throw refused;
  } catch (error) {
    throw isErrno(error, 'ELOOP', 'ENXIO') ? refused : error;
  }
};

/**
 * Opens a file below a directory, name by name: whatever is exchanged for a link on the
 * way, nothing outside is opened. The descriptor is the caller's to close. Throws `ENOENT`
 * when there is no such file.
 *
 * @param relative with forward slashes
 */
export const openFileBelow = (root: string, relative: string): number => {
  const names = relative.split('/').filter((name) => name !== '' && name !== '.');
  const refused = notPlain(root, relative);
  const base = names.pop();
  if (base === undefined || base === '..' || names.includes('..')) throw refused;
  let directory = openDirectory(root);
  try {
    for (const name of names) {
      const below = openBelow(directory, name);
      if (below === undefined) throw refused;
      closeDirectory(directory);
      directory = below;
    }
    return openPlain(directory, base, refused);
  } finally {
    closeDirectory(directory);
  }
};

/** Reads a file below a directory; see {@link openFileBelow}. */
export const readFileBelow = (root: string, relative: string): Buffer => {
  const file = openFileBelow(root, relative);
  try {
    return fs.readFileSync(file);
  } finally {
    fs.closeSync(file);
  }
};
