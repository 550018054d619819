import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { CREDENTIAL_PLACES } from './verify-modes.ts';
import { countText, type Look, type PlaceToLook, sizeText } from './verify-place.ts';
import { type Unread, walkTree } from './verify-tree.ts';

/** Looks through a tree of files on the host: their names, their content, and where links lead. */
const lookAtTree = async (root: string, look: Look, wanted: (file: string) => boolean): Promise<string> => {
  const unread: Unread[] = [];
  let files = 0;
  for await (const entry of walkTree(root, unread, wanted)) {
    look.signal.throwIfAborted();
    if (entry.path === '') continue;
    look.text(`name ${entry.path}`, entry.target === undefined ? entry.path : `${entry.path} ${entry.target}`);
    if (entry.kind !== 'directory') files += 1;
    if (entry.kind === 'file') await look.stream(entry.path, entry.read());
  }
  for (const { path: file, why } of unread) look.miss(file, why);
  return `${sizeText(look.bytes())}, ${countText(files, 'file')}`;
};

/** Where logins of jackin's own are meant to be. Beside them nothing may hold what is in them. */
const OWN_CREDENTIALS = /^logins\/kimi\/[^/]+\/credentials$/;

/** The state of an instance outside of its credential places, and what jackin keeps for itself. */
export const statePlaces = (paths: Paths, container: string): PlaceToLook[] => {
  const isElsewhere = (file: string): boolean => !CREDENTIAL_PLACES.some((place) => place === file);
  const data = path.relative(paths.jackinHome, paths.dataDir);
  return [
    { place: 'state', run: async (look) => await lookAtTree(path.join(paths.dataDir, container), look, isElsewhere) },
    // The state of other instances holds their credentials, which may be the same.
    { place: 'jackin home', run: async (look) => await lookAtTree(paths.jackinHome, look, (file) => file !== data && !OWN_CREDENTIALS.test(file)) },
  ];
};
