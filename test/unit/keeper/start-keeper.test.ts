import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { startKeeper } from '../../../src/keeper/start-keeper.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

it('keeps the home that its launch means: it stands elsewhere, and the launch may have called it by a relative name', async () => {
  const root = await makeTemporaryDir();
  const jackinHome = path.join(root, 'jackin');
  const paths = { jackinHome, keeperDir: path.join(jackinHome, 'keeper') };
  try {
    await startKeeper(paths, { program: [process.execPath, '-e', `console.error(require('node:path').resolve(process.env.JACKIN_HOME_DIR))`], env: { JACKIN_HOME_DIR: path.relative(process.cwd(), jackinHome) } });
    await expect.poll(() => readFile(path.join(paths.keeperDir, 'log'), 'utf8')).toBe(`${jackinHome}\n`);
  } finally {
    await rm(root, { recursive: true });
  }
});
