import fs from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { PackOptions } from 'tar-fs';
import { contextFiles } from '../shared/context-files.ts';
import { openFileBelow } from '../shared/open-below.ts';
import { nodeReadable } from './node-readable.ts';

export interface ContextSpec {
  /** Path of the Dockerfile below the root, with forward slashes, and the text that is sent in its place. */
  dockerfile: string;
  text: string;
  /** Files that are sent although a `.dockerignore` names them. */
  always?: readonly string[];
}

interface Range {
  start?: number;
  end?: number;
}

async function* contentBelow(root: string, name: string, range: Range): AsyncGenerator<Buffer> {
  yield* fs.createReadStream('', { ...range, fd: openFileBelow(root, name) }) as AsyncIterable<Buffer>;
}

/** File system of the packer. A role's folder may lie in a mount: no file of it is read through a link, whatever an agent exchanges meanwhile. */
const fileSystemBelow = (root: string): object => ({
  ...fs,
  createReadStream: (file: string, range: Range) => Readable.from(contentBelow(root, path.relative(root, file).split(path.sep).join('/'), range)),
});

/**
 * A tar of a build context, as `contextFiles` lists it. Owners and times are made
 * equal, so that the engine's own cache sees content only.
 */
export const packContext = async (root: string, spec: ContextSpec): Promise<Readable> => {
  const { text, always } = spec;
  const dockerfile = path.posix.normalize(spec.dockerfile);
  const files = await contextFiles(root, dockerfile, always);
  const bytes = Buffer.from(text);
  const { default: tarFs } = await import('tar-fs');
  const pack = tarFs.pack(root, {
    entries: files.map((file) => file.path),
    fs: fileSystemBelow(root),
    map: (header) => {
      const mode = (header.mode ?? 0) & 0o111 ? 0o755 : 0o644;
      const size = header.name === dockerfile ? bytes.length : header.size;
      return { ...header, mode, size, uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) };
    },
    mapStream: (stream, header) => {
      if (header.name !== dockerfile) return stream;
      stream.destroy();
      return Readable.from([bytes]);
    },
  } as PackOptions & { fs: object });
  return nodeReadable(pack);
};
