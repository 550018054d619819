// Handing a login over, against writing the same bytes to the same disk.
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from '../scripts/lib/setup.mjs';
import { interleave, ratio, time } from './measure.mjs';

const TURNS = 50;

/** The function itself: the CLI around it costs a hundred times as much. */
const loadHandoff = async (/** @type {string} */ temp) => {
  const outfile = path.join(temp, 'handoff.mjs');
  const entryPoints = [path.join(root, 'src/auth/handoff.ts')];
  await build({ entryPoints, outfile, bundle: true, format: 'esm', platform: 'node', logLevel: 'warning' });
  const { provisionHandoff } = await import(pathToFileURL(outfile).href);
  return provisionHandoff;
};

const writeBare = async (/** @type {string} */ dir, /** @type {{ path: string, bytes: Buffer }[]} */ files) => {
  await mkdir(path.join(dir, 'credentials'), { recursive: true });
  for (const file of files) {
    const handle = await open(path.join(dir, file.path), 'w', 0o600);
    await handle.writeFile(file.bytes);
    await handle.sync();
    await handle.close();
  }
};

export const measure = async () => {
  const temp = await mkdtemp(path.join(os.tmpdir(), 'jackin-bench-'));
  try {
    const provisionHandoff = await loadHandoff(temp);
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const filesOf = (/** @type {number} */ turn) => [
      { path: 'config.toml', bytes: Buffer.alloc(1500, 97) },
      { path: 'credentials/kimi-code.json', bytes: Buffer.from(String(turn).padStart(1200)) },
      { path: 'device_id', bytes: Buffer.alloc(36, 98) },
    ];
    const times = await interleave(TURNS, {
      bare: (turn) => time(() => writeBare(path.join(temp, `bare-${turn}`), filesOf(turn))),
      handoff: (turn) =>
        time(() =>
          provisionHandoff(path.join(temp, 'handoff'), [{ name: 'kimi-code', action: 'replace', files: filesOf(turn) }], owner),
        ),
    });
    return [{ what: `a changed login against write + fsync, median of ${TURNS}`, value: ratio(times.handoff, times.bare) }];
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
};
