// `npm run demo`: a Kimi login goes from this machine into a container and is
// used there, seen from both ends. Needs no account: the server is a fake one,
// in a container of its own. Removes what it makes on every way out.
//
//   npm run demo [-- --verbose]
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fingerprint } from '../test/fakes/kimi-server.mjs';
import { connectEngine, engineSocket } from './lib/engine-api.mjs';
import {
  KIMI_HOST, leftovers, makeNetwork, makeSandbox, removeSandbox, startKimiServer, writeConfig, writeLogin,
} from './lib/sandbox.mjs';
import { ensureBuild, ensureDependencies, ensureEngine } from './lib/setup.mjs';

const PROMPT = 'hello from the host';
const isVerbose = process.argv.includes('--verbose');

let lines = 0;
const say = (/** @type {string} */ what, /** @type {string} */ text) => {
  lines += 1;
  console.log(`${String(lines).padStart(2)}  ${what.padEnd(9)} ${text}`);
};

/**
 * The jackin that runs now. It has a process group of its own, so that Ctrl-C
 * reaches it once, from here; it is waited for before anything is removed.
 */
let child;
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted.abort();
    child?.kill(signal);
  });
}

/**
 * Runs the real CLI; its stdout. What it says on stderr is shown when it fails, or with --verbose.
 * @param {import('./lib/sandbox.mjs').Sandbox} sandbox
 * @param {string[]} args
 * @param {(line: string) => void} [onLine] called for each line of stdout as it comes
 */
const jackin = async (sandbox, args, onLine) => {
  interrupted.signal.throwIfAborted();
  if (isVerbose) console.error(`$ jackin ${args.join(' ')}`);
  const running = spawn(process.execPath, [sandbox.cli, ...args], {
    cwd: sandbox.dirs.project,
    env: sandbox.env,
    stdio: ['ignore', 'pipe', isVerbose ? 'inherit' : 'pipe'],
    detached: true,
  });
  child = running;
  let stdout = '';
  let stderr = '';
  running.stderr?.on('data', (chunk) => (stderr += chunk));
  createInterface({ input: running.stdout }).on('line', (line) => {
    stdout += `${line}\n`;
    onLine?.(line);
  });
  const code = await new Promise((resolve, reject) => running.on('error', reject).on('close', resolve));
  child = undefined;
  interrupted.signal.throwIfAborted();
  if (code !== 0) throw new Error(`jackin ${args[0]} ended with ${code}\n${stderr}${stdout}`);
  return stdout;
};

/** Prints what the host holds beside what the server received; whether they are the same. */
const compare = async (/** @type {import('./lib/sandbox.mjs').Sandbox} */ sandbox, login, requests) => {
  const dir = path.join(sandbox.dirs.temp, 'kimi-login');
  const stored = JSON.parse(await readFile(path.join(dir, 'credentials', `${login.slot}.json`), 'utf8'));
  const deviceId = await readFile(path.join(dir, 'device_id'), 'utf8');
  const chat = requests.findLast(({ path: where, status }) => where.endsWith('/chat/completions') && status === 200);
  const rows = [
    ['access token', fingerprint(stored.access_token), chat?.token],
    ['device id', fingerprint(deviceId.trim()), chat?.device],
  ];
  console.log(`    ${''.padEnd(14)} the host holds    the server got`);
  for (const [what, held, got] of rows) {
    console.log(`    ${what.padEnd(14)} ${held.padEnd(17)} ${(got ?? 'nothing').padEnd(17)} ${held === got ? 'same' : 'DIFFERENT'}`);
  }
  return rows.every(([, held, got]) => held === got);
};

const demo = async (/** @type {import('./lib/sandbox.mjs').Sandbox} */ sandbox) => {
  const { dirs } = sandbox;
  const loginDir = path.join(dirs.temp, 'kimi-login');
  const login = await writeLogin(loginDir);
  await writeConfig(sandbox, `[kimi]\nsync_source_dir = "${loginDir}"\n\n[env]\nKIMI_DISABLE_TELEMETRY = "1"\n`);
  say('sandbox', `${dirs.temp}: a Kimi login as \`kimi login\` writes it, a config, a small project`);

  const began = Date.now();
  say('prewarm', 'jackin prewarm agent-smith --agent kimi   (the first time builds and downloads: a minute or two)');
  const prewarmed = await jackin(sandbox, ['prewarm', 'agent-smith', '--agent', 'kimi', '--format', 'json']);
  const { roles, volumes } = JSON.parse(prewarmed).data;
  const [{ image, agents }] = roles;
  say('ready', `Kimi ${agents.kimi.version} and image ${image.tag} after ${Math.round((Date.now() - began) / 1000)} s`);

  await makeNetwork(sandbox);
  const made = { image: image.tag, runtimeVolume: volumes.runtime.name };
  const server = await startKimiServer(sandbox, made, { logins: [login] });
  say('server', `a fake Kimi at ${KIMI_HOST} on network ${sandbox.network}; it knows this one login and nothing else`);

  say('load', `jackin load agent-smith project --agent kimi --prompt "${PROMPT}"`);
  const load = ['load', 'agent-smith', dirs.project, '--agent', 'kimi', '--network', sandbox.network];
  await jackin(sandbox, [...load, '--prompt', PROMPT, '--no-input'], (line) => line && console.log(`    Kimi: ${line}`));
  const isSame = await compare(sandbox, login, await server.requests());

  await jackin(sandbox, ['eject', 'agent-smith']);
  await jackin(sandbox, ['purge', 'agent-smith']);
  const left = await leftovers(sandbox);
  const count = (/** @type {unknown[]} */ list, /** @type {string} */ what) => `${list.length} ${what}`;
  const parts = [count(left.containers, 'containers'), count(left.networks, 'networks'), count(left.data, 'state directories')];
  say('clean', `after jackin eject and jackin purge there are left: ${parts.join(', ')}`);
  return isSame && Object.values(left).every((list) => list.length === 0);
};

const main = async () => {
  console.log('A Kimi login goes from this machine into a container, and is used there.');
  await ensureDependencies();
  await ensureBuild();
  const stopEngine = await ensureEngine();
  const { Version } = await connectEngine().get('/version');
  say('engine', `Docker ${Version} at ${engineSocket()}`);
  const sandbox = await makeSandbox('demo');
  try {
    return await demo(sandbox);
  } finally {
    await removeSandbox(sandbox);
    await stopEngine();
  }
};

process.exitCode = await main().then(
  (isGood) => {
    console.log(isGood ? 'The login that the host holds is the one that was used. Nothing is left.' : 'This is not what should have happened.');
    return isGood ? 0 : 1;
  },
  (error) => {
    if (interrupted.signal.aborted) return 130;
    console.error(`The demo stopped: ${error.message}`);
    return error.exitCode === 5 ? 5 : 1;
  },
);
