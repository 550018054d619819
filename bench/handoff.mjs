// Handing a login over, against writing the same bytes to the same disk.
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from '../scripts/lib/setup.mjs';
import { interleave, ratio, time } from './measure.mjs';

const TURNS = 50;
const BUDGET = 2;

/** The function itself: the CLI around it costs a hundred times as much. */
const loadHandoff = async (/** @type {string} */ temp) => {
  const outfile = path.join(temp, 'handoff.mjs');
  const entryPoints = [path.join(root, 'src/auth/handoff.ts')];
  await build({ entryPoints, outfile, bundle: true, format: 'esm', platform: 'node', logLevel: 'warning' });
  const { provisionHandoff } = await import(pathToFileURL(outfile).href);
  return provisionHandoff;
};

/** What the logins of all five agents come to, a new token in each. */
const loginsOf = (/** @type {number} */ turn) => {
  const credential = Buffer.from(String(turn).padStart(1200));
  return Object.entries({
    claude: [{ path: 'credentials.json', bytes: credential }, { path: 'account.json', bytes: Buffer.alloc(600, 97) }],
    codex: [{ path: 'auth.json', bytes: Buffer.from(String(turn).padStart(4500)) }],
    amp: [{ path: 'secrets.json', bytes: credential }],
    'kimi-code': [
      { path: 'config.toml', bytes: Buffer.alloc(1500, 97) },
      { path: 'credentials/kimi-code.json', bytes: credential },
      { path: 'device_id', bytes: Buffer.alloc(36, 98) },
    ],
    opencode: [{ path: 'auth.json', bytes: credential }],
  }).map(([name, files]) => ({ name, files }));
};

/** As whoever writes a file safely does: beside it, flushed, and renamed over it. */
const writeBare = async (/** @type {string} */ dir, /** @type {ReturnType<typeof loginsOf>} */ logins) => {
  for (const { name, files } of logins) {
    for (const file of files) {
      const target = path.join(dir, name, file.path);
      await mkdir(path.dirname(target), { recursive: true });
      const handle = await open(`${target}.tmp`, 'w', 0o600);
      await handle.writeFile(file.bytes);
      await handle.sync();
      await handle.close();
      await rename(`${target}.tmp`, target);
    }
  }
};

export const measure = async () => {
  const temp = await mkdtemp(path.join(os.tmpdir(), 'jackin-bench-'));
  try {
    const provisionHandoff = await loadHandoff(temp);
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const times = await interleave(TURNS, {
      bare: (turn) => time(() => writeBare(path.join(temp, 'bare'), loginsOf(turn))),
      handoff: (turn) => {
        const changes = loginsOf(turn).map((login) => ({ ...login, action: 'replace' }));
        return time(() => provisionHandoff(path.join(temp, 'handoff'), changes, owner));
      },
    });
    return [{ what: `changed logins of five agents against write + fsync + rename, median of ${TURNS}`, value: ratio(times.handoff, times.bare), budget: { text: `${BUDGET} ×`, isExceeded: times.handoff > BUDGET * times.bare } }];
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
};
