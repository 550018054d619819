import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { didYouMean } from '../config/nearest.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { roleSegment } from '../plan/names.ts';
import type { RoleSelector } from '../plan/request.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { assertHookFiles } from './hooks.ts';
import { parseManifest } from './manifest.ts';

const MANIFEST = 'jackin.role.toml';
const MAX_FILES = 2000;
const MAX_BYTES = 64 * 1024 * 1024;

/** Roles that are shipped in the package, by name. */
export const builtInRoles = async (packageRoot: string): Promise<string[]> => {
  const entries = await readdir(path.join(packageRoot, 'roles'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name).sort();
};

/** SHA-256 over names, modes and contents, so that a role's image is built again when one of them changes. */
const hashFolder = async (root: string): Promise<string> => {
  const hash = createHash('sha256');
  let files = 0;
  let bytes = 0;
  const walk = async (relative: string): Promise<void> => {
    const entries = await readdir(path.join(root, relative), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = path.posix.join(relative, entry.name);
      if (entry.name === '.git') continue;
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

const readRole = async (key: string, source: RoleFacts['source']): Promise<RoleFacts> => {
  const manifestFile = path.join(source.path, MANIFEST);
  let text: string;
  try {
    text = await readFile(manifestFile, 'utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw new JackinError('failed', `cannot read ${manifestFile}: ${messageOf(error)}`, { cause: error });
    throw new JackinError('not-found', `${source.path} is not a role: it has no ${MANIFEST}`, {
      hint: 'name a built-in role such as agent-smith, or a folder with a jackin.role.toml and a Dockerfile',
    });
  }
  const manifest = parseManifest(manifestFile, text);
  await assertHookFiles(source.path, manifest.hooks);
  const contentHash = await hashFolder(source.path);
  return {
    key,
    name: manifest.name ?? key,
    source,
    contentHash,
    dockerfile: manifest.dockerfile,
    manifestFile,
    agents: manifest.agents,
    models: manifest.models,
    env: manifest.env,
    hooks: manifest.hooks.map(({ name, file }) => ({ name, file })),
  };
};

/** The key of a folder role: its name, reduced to what a role key may hold. */
export const folderRoleKey = (folder: string): string =>
  path
    .basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64) || 'role';

/** Finds a role and reads what it says of itself. Asks no network. */
export const findRole = async (selector: RoleSelector, packageRoot: string): Promise<RoleFacts> => {
  if (selector.kind === 'folder') {
    const folder = await realpath(selector.path).catch((error: unknown) => {
      throw new JackinError('not-found', `there is no folder ${selector.path}: ${messageOf(error)}`);
    });
    return readRole(folderRoleKey(folder), { kind: 'folder', path: folder });
  }
  const known = await builtInRoles(packageRoot);
  if (known.includes(selector.key)) {
    return readRole(selector.key, { kind: 'built-in', path: path.join(packageRoot, 'roles', selector.key) });
  }
  throw new JackinError('not-found', `there is no role "${selector.key}"`, {
    hint: [
      didYouMean(roleSegment(selector.key), known),
      `built in: ${known.join(', ')}; for a folder of your own write its path, such as ./my-role`,
    ]
      .filter(Boolean)
      .join(' '),
  });
};
