import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Puts one of the programs of this directory under its name into `bin`, which is made. */
export const installFake = async (bin: string, name: 'gh' | 'op'): Promise<void> => {
  await mkdir(bin, { recursive: true });
  const program = path.join(import.meta.dirname, `${name}.mjs`);
  await writeFile(path.join(bin, name), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, { mode: 0o755 });
};

/** A program that a shell script is all there is to. */
export const installScript = async (bin: string, name: 'gh' | 'op', script: string): Promise<void> => {
  await mkdir(bin, { recursive: true });
  await writeFile(path.join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
};
