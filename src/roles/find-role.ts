import { constants } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { MAX_TOML_BYTES } from '../config/document.ts';
import type { RoleFacts } from '../plan/facts.ts';
import type { RoleSelector } from '../plan/request.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { readBounded } from '../shared/read-bounded.ts';
import { hashRole } from './hash-role.ts';
import { assertRoleFiles } from './hooks.ts';
import { type Manifest, parseManifest } from './manifest.ts';

export const MANIFEST = 'jackin.role.toml';

/** Roles that are shipped in the package, by name. */
export const builtInRoles = async (packageRoot: string): Promise<string[]> => {
  const entries = await readdir(path.join(packageRoot, 'roles'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name).sort();
};

/** Follows no link: whatever stands in the file may be shown in an error. Waits for no other end of a pipe. */
export const readManifest = async (file: string, folder: string): Promise<string> => {
  try {
    const text = await readBounded(file, MAX_TOML_BYTES, constants.O_NOFOLLOW);
    if (text === undefined) throw new JackinError('usage', `${file} is not a plain file`);
    return text;
  } catch (error) {
    if (error instanceof JackinError) throw error;
    if (isErrno(error, 'ELOOP')) throw new JackinError('usage', `${file} is a link: a role holds no links, they could lead out of it`);
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw new JackinError('failed', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
    throw new JackinError('not-found', `${folder} is not a role: it has no ${MANIFEST}`, {
      hint: 'name a built-in role such as agent-smith, or a folder with a jackin.role.toml and a Dockerfile',
    });
  }
};

interface Found {
  key: string;
  source: RoleFacts['source'];
  trust: RoleFacts['trust'];
}

const hashOf = (folder: string, { dockerfile, hooks }: Manifest): Promise<string> =>
  hashRole(folder, { dockerfile, always: [MANIFEST, ...hooks.map(({ file }) => file)] });

/** Only a digest says which image was agreed to: a name may stand for another one tomorrow. */
const publishedOf = ({ publishedImage, notes }: Manifest): Pick<RoleFacts, 'published' | 'notes'> => {
  if (publishedImage === undefined) return { published: null, notes };
  const [reference = '', digest] = publishedImage.split('@');
  if (digest !== undefined) return { published: { reference, digest }, notes };
  return { published: null, notes: [...notes, `published_image ${publishedImage} is not used, because it names no digest: the role is built from its Dockerfile`] };
};

/** Reads what a role's folder says of itself. */
export const readRole = async ({ key, source, trust }: Found): Promise<RoleFacts> => {
  const manifestFile = path.join(source.path, MANIFEST);
  const manifest = parseManifest(manifestFile, await readManifest(manifestFile, source.path));
  await assertRoleFiles(source.path, manifest.files);
  return {
    key,
    name: manifest.name ?? key,
    source,
    trust,
    contentHash: await hashOf(source.path, manifest),
    dockerfile: manifest.dockerfile,
    manifestFile,
    agents: manifest.agents,
    models: manifest.models,
    env: manifest.env,
    hooks: manifest.hooks,
    lock: null,
    ...publishedOf(manifest),
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

const realFolder = (place: string): Promise<string> =>
  realpath(place).catch((error: unknown) => {
    throw new JackinError('not-found', `there is no folder ${place}: ${messageOf(error)}`);
  });

/** The key that a role has in the configuration. */
export const roleKeyOf = async (selector: RoleSelector): Promise<string> => (selector.kind === 'name' ? selector.key : folderRoleKey(await realFolder(selector.path)));

/** A role in a folder of the operator's. */
export const readFolderRole = async (place: string): Promise<RoleFacts> => {
  const folder = await realFolder(place);
  return readRole({ key: folderRoleKey(folder), source: { kind: 'folder', path: folder }, trust: { state: 'folder', why: 'a folder that was named' } });
};

/** A role that is part of jackin. */
export const readBuiltInRole = (key: string, packageRoot: string): Promise<RoleFacts> =>
  readRole({ key, source: { kind: 'built-in', path: path.join(packageRoot, 'roles', key) }, trust: { state: 'built-in', why: 'part of jackin' } });
