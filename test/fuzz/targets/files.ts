import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Files of this name below a folder of the fixtures. */
export const fixtures = (folder: string, isWanted: (file: string) => boolean): string[] => {
  const root = path.resolve('test/fixtures', folder);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(isWanted).sort();
  return files.map((file) => readFileSync(path.join(root, file), 'utf8'));
};

let scratch: string | undefined;

/** A directory of this process, which is gone when it ends. */
export const scratchDir = (name: string): string => {
  if (scratch === undefined) {
    const made = mkdtempSync(path.join(tmpdir(), 'jackin-fuzz-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    scratch = made;
  }
  const dir = path.join(scratch, name);
  mkdirSync(dir, { recursive: true });
  return dir;
};

/** Writes an input where a reader looks for it. */
export const place = (file: string, input: Buffer): string => {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, input);
  return file;
};
