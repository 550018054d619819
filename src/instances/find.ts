import type { Paths } from '../config/paths.ts';
import { nearest } from '../config/nearest.ts';
import type { ContainerInfo, Engine } from '../docker/engine.ts';
import { JackinError } from '../shared/errors.ts';
import { isBeingMade } from './journal.ts';
import { type InstanceRecord, listStates, type State } from './record.ts';

/** One instance as state and engine know it together; either side may be gone. */
export interface Instance {
  id: string;
  container: string;
  role: string;
  workspace: string | null;
  record: InstanceRecord | undefined;
  engine: ContainerInfo | undefined;
  /** A network that was left without its container counts as something to eject. */
  network: string | undefined;
}

export type InstanceState = 'running' | 'exited' | 'ejected';

export const stateOf = ({ engine }: Instance): InstanceState => {
  if (engine === undefined) return 'ejected';
  return engine.running ? 'running' : 'exited';
};

/** Without a record, the name of the directory is all there is to know it by. */
const instanceOf = ({ container, record }: State): Instance => ({
  id: record?.instance_id ?? container.split('-')[1] ?? container,
  container,
  role: record?.role_key ?? '',
  workspace: record?.workspace_name ?? null,
  record,
  engine: undefined,
  network: undefined,
});

/** Every instance of this jackin home, oldest first. Instances of other homes are never seen. */
export const listInstances = async (engine: Engine, paths: Paths, homeId: string): Promise<Instance[]> => {
  const labels = { 'jackin.home': homeId, 'jackin.kind': 'role' };
  const [states, containers, networks] = await Promise.all([
    listStates(paths.dataDir),
    engine.listContainers(labels),
    engine.listNetworks(labels),
  ]);
  const instances = new Map<string, Instance>();
  for (const state of states) {
    // A launch writes its record last: until then its state is nobody's to eject or purge.
    if (state.record === undefined && (await isBeingMade(paths, state.container))) continue;
    const instance = instanceOf(state);
    instances.set(instance.id, instance);
  }
  const labelled = (owned: Readonly<Record<string, string>>, container: string): Instance => {
    const id = owned['jackin.instance'] ?? '';
    let instance = instances.get(id);
    if (instance === undefined) {
      const workspace = owned['jackin.workspace'] || null;
      instance = { id, container, role: owned['jackin.class'] ?? '', workspace, record: undefined, engine: undefined, network: undefined };
      instances.set(id, instance);
    }
    return instance;
  };
  for (const info of containers) labelled(info.labels, info.name).engine = info;
  for (const network of networks) labelled(network.labels, network.name.replace(/-net$/, '')).network = network.name;
  return [...instances.values()].sort((a, b) => (a.record?.created_at ?? '').localeCompare(b.record?.created_at ?? ''));
};

const describe = ({ id, container, role, workspace }: Instance): string =>
  `  ${id}  ${container}  role ${role}${workspace === null ? '' : `, workspace ${workspace}`}`;

const matches = (instance: Instance, selector: string): boolean =>
  instance.id === selector || instance.container === selector || instance.role === selector;

export interface Selection {
  /** Role key, instance id or container name. */
  selector: string | undefined;
  /** Take all that match instead of insisting on one. */
  all: boolean;
}

/**
 * The instances a selector means. A role is matched by its exact key, never by
 * a part of a name. More than one without `all` is an error that lists them.
 */
export const selectInstances = (instances: Instance[], { selector, all }: Selection, verb: string): Instance[] => {
  const found = selector === undefined ? instances : instances.filter((instance) => matches(instance, selector));
  if (found.length === 0 && selector !== undefined) {
    const near = nearest(selector, instances.flatMap(({ id, container, role }) => [id, container, role]));
    throw new JackinError('not-found', `there is nothing to ${verb} for "${selector}"`, {
      hint: near.length > 0 ? `did you mean ${near.join(' or ')}?` : '`jackin status` lists the instances',
    });
  }
  if (found.length > 1 && !all) {
    throw new JackinError('conflict', [`"${selector ?? ''}" means ${found.length} instances:`, ...found.map(describe)].join('\n'), {
      hint: `name one by its id, as in \`jackin ${verb} ${found[0]!.id}\`${verb === 'hardline' ? '' : ', or take all with --all'}`,
    });
  }
  return found;
};
