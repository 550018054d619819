import type { Paths } from '../config/paths.ts';
import { nearest } from '../config/nearest.ts';
import type { ContainerInfo, Engine } from '../docker/engine.ts';
import { JackinError } from '../shared/errors.ts';
import { type JournalEntry, listLaunches } from './journal.ts';
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
  /** The process that is launching it; undefined: it stands, or is ejected. */
  launcher?: number;
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

const bare = (id: string, container: string): Instance => ({ id, container, role: '', workspace: null, record: undefined, engine: undefined, network: undefined });

/** Every instance of this jackin home, oldest first. Instances of other homes are never seen. */
export const listInstances = async (engine: Engine, paths: Paths, homeId: string): Promise<Instance[]> => {
  const labels = { 'jackin.home': homeId, 'jackin.kind': 'role' };
  // Before everything else: a launch that ends meanwhile has made all that it leaves.
  const launches = await listLaunches(paths);
  const [states, containers, networks] = await Promise.all([
    listStates(paths.dataDir),
    engine.listContainers(labels),
    engine.listNetworks(labels),
  ]);
  const instances = new Map<string, Instance>();
  for (const state of states) {
    const instance = instanceOf(state);
    instances.set(instance.id, instance);
  }
  const labelled = (owned: Readonly<Record<string, string>>, container: string): Instance => {
    const id = owned['jackin.instance'] ?? '';
    const known = instances.get(id) ?? bare(id, container);
    // Its record, where there is one, is what counts.
    const told = known.record === undefined ? { role: owned['jackin.class'] ?? '', workspace: owned['jackin.workspace'] || null } : {};
    instances.set(id, Object.assign(known, told));
    return known;
  };
  for (const info of containers) labelled(info.labels, info.name).engine = info;
  for (const network of networks) labelled(network.labels, network.name.replace(/-net$/, '')).network = network.name;
  markLaunches(instances, launches);
  return [...instances.values()].sort((a, b) => (a.record?.created_at ?? '').localeCompare(b.record?.created_at ?? ''));
};

const markLaunches = (instances: Map<string, Instance>, launches: ReadonlyMap<string, JournalEntry>): void => {
  for (const instance of instances.values()) {
    const launch = launches.get(instance.container);
    if (launch !== undefined) instance.launcher = launch.owner.pid;
  }
};

/** A launch writes its record last: until then, an instance without a container is nothing to be shown. */
export const isShown = ({ launcher, record, engine, network }: Instance): boolean =>
  launcher === undefined || record !== undefined || engine !== undefined || network !== undefined;

/** The error for an instance that its launch has not finished. */
export const beingLaunched = ({ container, launcher }: Instance): JackinError =>
  new JackinError('conflict', `${container} is being launched by another jackin (pid ${launcher})`, {
    hint: 'wait until it stands, or end that process: the next command takes back what it had made',
  });

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
