import { rm } from 'node:fs/promises';
import path from 'node:path';
import { addKeyProvider, type KeyProvider, parseKimiConfig, printKimiConfig, removeKeyProvider } from '../../agents/kimi-config.ts';
import { CONFIG_FILE } from '../../agents/kimi-login.ts';
import { KIMI_CODE_HOME } from '../../agents/placed-login.ts';
import { readFiles } from '../../shared/read-set.ts';
import type { Place } from './place.ts';
import { readRecord, writeRecord } from './record.ts';
import { backUp, writeHomeFile } from './swap.ts';

const CONFIG_PATH = `${KIMI_CODE_HOME}/${CONFIG_FILE}`;

const readConfig = async (home: string): Promise<Buffer | undefined> =>
  (await readFiles(path.join(home, KIMI_CODE_HOME), (file) => file === CONFIG_FILE))?.get(CONFIG_FILE);

/** Sets Kimi up to read its key from `KIMI_API_KEY`. The key itself is in no file. */
export const addProvider = async (place: Place, provider: KeyProvider, now: Date): Promise<void> => {
  const { home } = place;
  const record = await readRecord(place);
  const bytes = await readConfig(home);
  const parsed = parseKimiConfig(bytes?.toString('utf8') ?? '');
  // Kimi could not start with it either; it is kept for whoever wrote it.
  if (bytes !== undefined && 'broken' in parsed) await backUp(place, new Map([[CONFIG_PATH, bytes]]), now);
  const original = 'config' in parsed ? parsed.config : {};
  const { config, previousDefault } = addKeyProvider(original, provider);
  const earlier = record.provider;
  // Before the configuration: otherwise a crash in between would lose the earlier default.
  await writeRecord(place, {
    ...record,
    provider: {
      previousDefault: previousDefault ?? earlier?.previousDefault,
      createdConfig: earlier?.createdConfig ?? (bytes === undefined || 'broken' in parsed),
    },
  });
  const text = printKimiConfig(config);
  if (bytes?.toString('utf8') !== text) await writeHomeFile(home, CONFIG_PATH, text);
};

/** Takes out what {@link addProvider} put in and restores the default model that was there before. */
export const removeProvider = async (place: Place): Promise<void> => {
  const { home } = place;
  const { provider, ...record } = await readRecord(place);
  if (provider === undefined) return;
  const bytes = await readConfig(home);
  const parsed = parseKimiConfig(bytes?.toString('utf8') ?? '');
  if (bytes !== undefined && 'config' in parsed) {
    const config = removeKeyProvider(parsed.config, provider.previousDefault);
    if (provider.createdConfig && Object.keys(config).length === 0) await rm(path.join(home, CONFIG_PATH));
    else await writeHomeFile(home, CONFIG_PATH, printKimiConfig(config));
  }
  await writeRecord(place, record);
};
