import { rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { type KimiGeneration, listCredentials, parseKimiConfig } from '../../agents/kimi-config.ts';
import { CONFIG_FILE, CREDENTIALS_DIR, keyDigest, sha256, slotFile } from '../../agents/kimi-login.ts';
import { isErrno } from '../../shared/errors.ts';
import { KIMI_CLI_HOME, KIMI_CODE_HOME, readLogin } from './kimi-login.ts';
import { NOTHING_SEEDED, readRecord, type SeedRecord, writeRecord } from './record.ts';
import { WORK_DIR } from './swap.ts';

const HOMES = [
  { dir: KIMI_CODE_HOME, generation: 'kimi-code' },
  { dir: KIMI_CLI_HOME, generation: 'kimi' },
] as const;

/**
 * Takes the forwarded login out of the home: the files that jackin placed and
 * their backups, nothing else. A login that was made in the container under
 * another name stays, and so does a configuration that no longer speaks of the
 * forwarded one. True when there was something to take out.
 */
export const forgetLogin = async ({ home, state }: { home: string; state: string }): Promise<boolean> => {
  const record = await readRecord(state);
  if (Object.keys(record.files).length === 0) return false;
  for (const { dir, generation } of HOMES) {
    const files = (await readLogin(path.join(home, dir))) ?? new Map<string, Buffer>();
    for (const [file, bytes] of files) {
      if (isPlaced(dir, file, bytes, generation, record)) await rm(path.join(home, dir, file), { force: true });
    }
    await removeIfEmpty(path.join(home, dir, CREDENTIALS_DIR));
  }
  await rm(path.join(home, WORK_DIR), { recursive: true, force: true });
  // Last: after a crash before this, the next start does it all again.
  await writeRecord(state, { ...NOTHING_SEEDED, provider: record.provider });
  return true;
};

const isPlaced = (dir: string, file: string, bytes: Buffer, generation: KimiGeneration, record: SeedRecord): boolean => {
  const placed = record.files[`${dir}/${file}`];
  if (placed === undefined) return false;
  // A credential that was renewed inside is still the forwarded login.
  if (file.startsWith(`${CREDENTIALS_DIR}/`) || placed === sha256(bytes)) return true;
  return file === CONFIG_FILE && speaksOfLogin(dir, bytes, generation, record);
};

/** Kimi itself rewrites its configuration, so equal bytes alone are too little to go by. */
const speaksOfLogin = (dir: string, bytes: Buffer, generation: KimiGeneration, record: SeedRecord): boolean => {
  const parsed = parseKimiConfig(bytes.toString('utf8'));
  if ('broken' in parsed) return false;
  return listCredentials(parsed.config, generation).some((credential) =>
    credential.kind === 'slot'
      ? Object.hasOwn(record.files, `${dir}/${slotFile(credential.slot)}`)
      : record.keys.includes(keyDigest(credential)),
  );
};

const removeIfEmpty = async (dir: string): Promise<void> => {
  await rmdir(dir).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
  });
};
