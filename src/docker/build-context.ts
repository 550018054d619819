import { Readable } from 'node:stream';
import type { PackOptions } from 'tar-fs';
import { JackinError } from '../shared/errors.ts';
import { filesBelow } from './files-below.ts';
import { nodeReadable } from './node-readable.ts';

const MEBIBYTE = 1024 * 1024;
const MAX_CONTEXT_BYTES = 256 * MEBIBYTE;

const mebibytes = (bytes: number): string => `${(bytes / MEBIBYTE).toFixed(1)} MiB`;

/**
 * A tar of a build context, with one file's text replaced. Owners and times are
 * made equal, so that the engine's own cache sees content only. Refuses links and
 * special files by name, and a context over 256 MiB.
 */
export const packContext = async (root: string, replaced: { path: string; text: string }): Promise<Readable> => {
  const files = await filesBelow(root, ['.git']);
  const odd = files.find((file) => file.kind !== 'file');
  if (odd !== undefined) {
    const what = odd.kind === 'link' ? 'a link' : 'neither a file nor a directory';
    throw new JackinError('build.failed', `${odd.path} in ${root} is ${what}: a build context holds plain files only`);
  }
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > MAX_CONTEXT_BYTES) {
    const biggest = [...files].sort((a, b) => b.size - a.size).slice(0, 3);
    const names = biggest.map((file) => `${file.path} (${mebibytes(file.size)})`).join(', ');
    throw new JackinError(
      'build.failed',
      `the build context ${root} has ${mebibytes(total)}, more than ${mebibytes(MAX_CONTEXT_BYTES)}. The biggest files: ${names}.`,
    );
  }
  const text = Buffer.from(replaced.text);
  const { default: tarFs } = await import('tar-fs');
  const pack = tarFs.pack(root, {
    entries: files.map((file) => file.path),
    map: (header) => {
      const mode = (header.mode ?? 0) & 0o111 ? 0o755 : 0o644;
      const size = header.name === replaced.path ? text.length : header.size;
      return { ...header, mode, size, uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) };
    },
    mapStream: (stream, header) => {
      if (header.name !== replaced.path) return stream;
      stream.destroy();
      return Readable.from([text]);
    },
  } as PackOptions);
  return nodeReadable(pack);
};
