import path from 'node:path';
import type { ContainerSpec, Engine } from '../docker/engine.ts';
import { PRIVATE_NODE } from '../docker/private-node.ts';
import { createOwnNetwork } from '../docker/networks.ts';
import { ID_PLACEHOLDER, type LaunchPlan } from '../plan/plan.ts';
import { JackinError } from '../shared/errors.ts';
import type { Deps } from './deps.ts';
import type { Prepared } from './prepare.ts';

/** Puts the drawn id in the places of the plan that wait for it. What the operator wrote is never searched. */
export const withId = (plan: LaunchPlan, id: string, dataDir: string): LaunchPlan => {
  const own = path.join(dataDir, `jk-${ID_PLACEHOLDER}`);
  const put = (text: string): string => text.replaceAll(ID_PLACEHOLDER, id);
  const { container } = plan;
  return {
    ...plan,
    mounts: plan.mounts.map((mount) => (mount.source.startsWith(own) ? { ...mount, source: put(mount.source) } : mount)),
    container: {
      ...container,
      name: put(container.name),
      env: container.env.map((line) => (/^JACKIN_(CONTAINER_NAME|INSTANCE_ID)=/.test(line) ? put(line) : line)),
      labels: Object.fromEntries(Object.entries(container.labels).map(([key, value]) => [key, value === ID_PLACEHOLDER ? id : value])),
      networks: container.networks.map((name, index) => (index === 0 ? put(name) : name)),
    },
  };
};

const containerSpec = (plan: LaunchPlan, prepared: Prepared, labels: Record<string, string>): ContainerSpec => {
  const { container, agent } = plan;
  return {
    name: container.name,
    hostname: container.name,
    image: prepared.image,
    // A young generation of the usual size would keep what a burst of output once needed.
    // Short calls need a second mapping of Node. It cannot be read, so V8 would copy 2 MB of it in its place.
    argv: [...PRIVATE_NODE, '--max-semi-space-size=2', '--no-short-builtin-calls', '/jackin/runtime/capsule/capsule.mjs'],
    user: `${container.user.uid}:${container.user.gid}`,
    workdir: '/',
    env: container.env,
    labels,
    mounts: [
      ...plan.mounts.map(({ source, target, readonly }) => ({ kind: 'bind' as const, source, target, readonly })),
      { kind: 'volume', source: prepared.runtimeVolume, target: '/jackin/runtime', readonly: true },
      ...[{ agent: agent.slug, name: prepared.agentVolume.name }, ...prepared.otherAgents].map(({ agent: slug, name }) => ({
        kind: 'volume' as const,
        source: name,
        target: `/jackin/agents/${slug}`,
        readonly: true,
      })),
    ],
    tmpfs: container.tmpfs,
    network: container.networks[0]!,
    init: container.init,
    capDrop: container.cap_drop,
    noNewPrivileges: container.no_new_privileges,
    pidsLimit: container.pids_limit,
  };
};

/** Four random bytes as a number in [0, 1). */
const unitInterval = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) / 2 ** 32;

const assertNetworksExist = async (engine: Engine, networks: string[]): Promise<void> => {
  for (const network of networks) {
    if (await engine.networkExists(network)) continue;
    throw new JackinError('not-found', `the engine has no network "${network}"`, {
      hint: 'create it first, or leave out --network; `docker network ls` lists them',
    });
  }
};

const ownLabels = (plan: LaunchPlan, homeId: string): Record<string, string> => ({ ...plan.container.labels, 'jackin.home': homeId });

/** The instance's own network; those that it joins as well must be there already. */
export const makeNetwork = async (engine: Engine, plan: LaunchPlan, homeId: string, deps: Pick<Deps, 'randomBytes'>): Promise<void> => {
  const [own, ...joined] = plan.container.networks as [string, ...string[]];
  await assertNetworksExist(engine, joined);
  await createOwnNetwork(engine, { name: own, labels: ownLabels(plan, homeId) }, () => unitInterval(deps.randomBytes(4)));
};

/** Makes and starts the container of an instance; the capsule in it waits for its first frame. Returns when it runs. */
export const startContainer = async (engine: Engine, plan: LaunchPlan, prepared: Prepared, homeId: string, onCreated: () => void): Promise<void> => {
  const [, ...joined] = plan.container.networks;
  const labels = { ...ownLabels(plan, homeId), 'jackin.image': prepared.image };
  const container = await engine.createContainer(containerSpec(plan, prepared, labels));
  onCreated();
  for (const network of joined) await engine.connectNetwork(network, container);
  await engine.startContainer(container);
};
