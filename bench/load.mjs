// A warm `jackin load --detach`, against the same network, container and exec
// made by bare calls of the engine's API; and what it asks the registry.
import { createServer } from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { spawn } from 'node:child_process';
import { connectEngine } from '../scripts/lib/engine-api.mjs';
import { makeSandbox, removeSandbox, writeConfig, writeLogin } from '../scripts/lib/sandbox.mjs';
import { ensureEngine } from '../scripts/lib/setup.mjs';
import { interleave, ratio, runQuietly, time } from './measure.mjs';

const TURNS = 7;
const BUDGET = 2;

/** A registry that serves nothing and counts who asks. */
const startCounter = async () => {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    response.writeHead(503).end();
  });
  server.on('connection', (socket) => socket.unref());
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}/`, count: () => requests, stop: () => server.close() };
};

const bareLaunch = async (engine, sandbox, image, volumes, turn) => {
  const name = `${sandbox.id}-bare-${turn}`;
  const [key, value] = sandbox.label.split('=');
  const Labels = { [key]: value };
  const took = await time(async () => {
    await engine.post('/networks/create', { Name: name, Labels });
    const id = await engine.run(name, {
      Image: image,
      Labels,
      Entrypoint: ['sleep'],
      Cmd: ['600'],
      HostConfig: { NetworkMode: name, Init: true, CapDrop: ['ALL'], Binds: volumes.map((volume) => `${volume}:/mnt/${volume}:ro`) },
    });
    await engine.exec(id, ['true']);
  });
  await engine.removeContainer(name);
  await engine.removeNetwork(name);
  return took;
};

/** Not `spawnSync`: the counter has to answer meanwhile. */
const runChild = (program, args, options) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('close', (code) => (code === 0 ? resolve(undefined) : reject(new Error(`${args.join(' ')}: exit ${code}\n${stderr}`))));
  });

export const measure = async () => {
  const stopEngine = await ensureEngine();
  const sandbox = await makeSandbox('bench');
  const registry = await startCounter();
  try {
    const engine = connectEngine();
    const loginDir = path.join(sandbox.dirs.temp, 'kimi-login');
    await writeLogin(loginDir, { expiresIn: 3600 });
    await writeConfig(sandbox, `[kimi]\nsync_source_dir = "${loginDir}"\n\n[env]\nKIMI_DISABLE_TELEMETRY = "1"\n`);
    const options = { cwd: sandbox.dirs.project, env: sandbox.env };
    const prewarm = [sandbox.cli, 'prewarm', 'agent-smith', '--agent', 'kimi', '--format', 'json'];
    const { roles, volumes } = JSON.parse(runQuietly(process.execPath, prewarm, options)).data;
    const [{ image, agents }] = roles;
    const mounted = [volumes.runtime.name, agents.kimi.name];

    const counted = { ...options, env: { ...sandbox.env, npm_config_registry: registry.url, NPM_CONFIG_REGISTRY: registry.url } };
    const load = [sandbox.cli, 'load', 'agent-smith', sandbox.dirs.project, '--agent', 'kimi', '--detach', '--no-input'];
    const times = await interleave(TURNS, {
      bare: (turn) => bareLaunch(engine, sandbox, image.tag, mounted, turn),
      jackin: async () => {
        const took = await time(() => runChild(process.execPath, load, counted));
        runQuietly(process.execPath, [sandbox.cli, 'eject', 'agent-smith', '--purge'], options);
        return took;
      },
    });
    const asked = registry.count();
    return [
      {
        what: `warm load --detach against bare API calls, median of ${TURNS}`,
        value: `${ratio(times.jackin, times.bare)} (${times.jackin.toFixed(0)} ms, ${times.bare.toFixed(0)} ms)`,
        budget: { text: `${BUDGET.toFixed(1)} ×`, isExceeded: times.jackin / times.bare > BUDGET },
      },
      {
        what: `requests for the registry in ${TURNS + 1} warm loads`,
        value: String(asked),
        budget: { text: '0', isExceeded: asked > 0 },
      },
    ];
  } finally {
    registry.stop();
    await removeSandbox(sandbox);
    await stopEngine();
  }
};
