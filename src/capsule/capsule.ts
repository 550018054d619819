import { parseArgs } from 'node:util';
import { createLeaseFollower } from './home/follow-lease.ts';
import { prepareInstance } from './home/prepare.ts';
import { startCapsule } from './server.ts';

/** The container's main process, under the engine's init. */
const { values } = parseArgs({
  options: {
    run: { type: 'string', default: '/jackin/run' },
    agents: { type: 'string', default: '/jackin/agents' },
    home: { type: 'string', default: '/home/agent' },
    handoff: { type: 'string', default: '/jackin/handoff' },
    state: { type: 'string', default: '/jackin/state' },
    'default-home': { type: 'string', default: '/jackin/default-home' },
  },
});

process.umask(0o077);

const roots = { home: values.home, handoff: values.handoff, state: values.state, defaultHome: values['default-home'] };
const log = (line: string): void => void process.stderr.write(`jackin capsule: ${line.replaceAll(/\p{Cc}/gu, '?')}\n`);
const followLease = createLeaseFollower(roots, log);
const starting = startCapsule({
  runDir: values.run,
  agentsDir: values.agents,
  home: values.home,
  env: process.env,
  prepare: async (request, env, context) => {
    const prepared = await prepareInstance(request, roots, { ...process.env, ...env }, new Date(), context);
    await followLease(request);
    return prepared;
  },
  log,
});
// Before anybody can connect, so that no stop is ever missed.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => void starting.then((capsule) => capsule.stop()));
const capsule = await starting;
process.exit(await capsule.ended);
