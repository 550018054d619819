// What `auth status` costs over many workspaces, above starting at all: where all use
// the host's own logins, and where every one says something about every agent.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { makeSandbox, removeSandbox, writeConfig, writeLogin } from '../scripts/lib/sandbox.mjs';
import { interleave, ratio, runQuietly, time } from './measure.mjs';

const TURNS = 11;
const WORKSPACES = 100;
const BUDGET_MS = 200;

const expires = () => Date.now() + 900_000;
const oauth = () => ({ accessToken: 'fake-access', refreshToken: 'fake-refresh', expiresAt: expires(), scopes: ['user:inference'] });

/** Credential files of the agents that have a single one, by their place below the home. */
const LOGINS = {
  '.claude/.credentials.json': () => ({ claudeAiOauth: oauth() }),
  '.codex/auth.json': () => ({ OPENAI_API_KEY: 'fake-key' }),
  '.local/share/amp/secrets.json': () => ({ 'apiKey@https://ampcode.com/': 'fake-key' }),
  '.local/share/opencode/auth.json': () => ({ anthropic: { type: 'oauth', access: 'fake-access', refresh: 'fake-refresh', expires: expires() } }),
};

const writeLogins = async (/** @type {string} */ home) => {
  await writeLogin(path.join(home, '.kimi-code'));
  for (const [file, content] of Object.entries(LOGINS)) {
    await mkdir(path.dirname(path.join(home, file)), { recursive: true });
    await writeFile(path.join(home, file), JSON.stringify(content()), { mode: 0o600 });
  }
};

/** Each of them has to be found in the file, for the answer to who decided. */
const OF_ITS_OWN = ['claude', 'codex', 'amp', 'kimi', 'opencode'].map((slug) => `[${slug}]\nauth_forward = "sync" # said here\n`).join('\n');

const makePlace = async (/** @type {string} */ settings) => {
  const sandbox = await makeSandbox('bench');
  await writeConfig(sandbox, '');
  await writeLogins(sandbox.dirs.userHome);
  const dir = path.join(sandbox.dirs.config, 'workspaces');
  await mkdir(dir, { recursive: true });
  const { project } = sandbox.dirs;
  const text = `version = "v1alpha6"\nworkdir = "${project}"\n\n[[mounts]]\nsrc = "${project}"\ndst = "${project}"\n\n${settings}`;
  for (let n = 0; n < WORKSPACES; n += 1) await writeFile(path.join(dir, `project-${n}.toml`), text);
  return sandbox;
};

/** @typedef {import('../scripts/lib/sandbox.mjs').Sandbox} Sandbox */

const run = (/** @type {Sandbox} */ { cli, env, dirs }, /** @type {string[]} */ ...args) =>
  time(() => runQuietly(process.execPath, [cli, ...args], { env, cwd: dirs.project }));

export const measure = async () => {
  const plain = await makePlace('');
  const special = await makePlace(OF_ITS_OWN);
  try {
    const args = ['auth', 'status', '--format', 'json'];
    // Of the fastest run each: the one that the rest of the machine disturbed least.
    const times = { start: Infinity, plain: Infinity, special: Infinity };
    const noting = (/** @type {keyof typeof times} */ name, /** @type {Sandbox} */ sandbox, /** @type {string[]} */ words) => async () => {
      const took = await run(sandbox, ...words);
      times[name] = Math.min(took, times[name]);
      return took;
    };
    await interleave(TURNS, { start: noting('start', plain, ['--version']), plain: noting('plain', plain, args), special: noting('special', special, args) });
    const line = (/** @type {string} */ what, /** @type {number} */ took) => {
      const above = took - times.start;
      const value = `${ratio(took, times.start)} (${above.toFixed(0)} ms above)`;
      return { what, value, budget: { text: `${BUDGET_MS} ms above`, isExceeded: above > BUDGET_MS } };
    };
    const count = `auth status, ${WORKSPACES} workspaces x 5 agents`;
    return [line(`${count} against --version`, times.plain), line('the same, each with settings of its own', times.special)];
  } finally {
    for (const sandbox of [plain, special]) await removeSandbox(sandbox);
  }
};
