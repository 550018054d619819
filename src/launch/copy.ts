import path from 'node:path';
import { copyIn, copyOut, type CopyCall, type CopyResult } from '../docker/copy-tree.ts';
import { type Instance, selectInstances, stateOf } from '../instances/find.ts';
import { JackinError } from '../shared/errors.ts';
import type { Exposure, WritableMount } from '../shared/find-place.ts';
import { identitiesAbove, identityOf } from '../shared/same-place.ts';
import type { Deps } from './deps.ts';
import { openInstances } from './open-instances.ts';

export interface CopyRequest {
  direction: 'in' | 'out';
  selector: string;
  /** On the host, as it was typed. */
  host: string;
  /** In the container, as it was typed. */
  inside: string;
}

export interface CopyDone extends CopyResult {
  instanceId: string;
  container: string;
  from: string;
  to: string;
}

const PROGRAM = ['/jackin/runtime/bin/node', '/jackin/runtime/capsule/copy.mjs'];
const HOME = '/home/agent';

/** The one that is meant; those that run go before those that do not, since only with them files can be exchanged. */
const selectRunning = (instances: Instance[], selector: string): Instance => {
  const found = selectInstances(instances, { selector, all: true }, 'copy from or to');
  const running = found.filter((instance) => stateOf(instance) === 'running');
  const [instance, another] = running.length > 0 ? running : found;
  if (instance === undefined) throw new JackinError('not-found', `there is no instance "${selector}"`);
  if (another !== undefined) {
    const list = (running.length > 0 ? running : found).map(({ id, container }) => `  ${id}  ${container}`);
    throw new JackinError('conflict', [`"${selector}" means ${list.length} instances:`, ...list].join('\n'), { hint: `name one by its id, as in ${instance.id}:/path` });
  }
  const state = stateOf(instance);
  if (state === 'running') return instance;
  const why = state === 'exited' ? 'does not run' : 'has no container, only its state';
  throw new JackinError('conflict', `instance ${instance.id} ${why}`, { hint: `\`jackin hardline ${instance.id}\` starts it again` });
};

/** Absolute, and otherwise as it was typed: what `..` after a link means, and whether a slash ends it, is for the file system to say. */
const absolute = (base: string, typed: string): string => (path.posix.isAbsolute(typed) ? typed : `${base}/${typed}`);

const insidePath = (typed: string, workdir: string): string => absolute(workdir, typed.replace(/^~(?=\/|$)/, HOME));

/** The name that something gets in a directory; of a path that ends in `.` or `..` the content goes there. */
const nameIn = (place: string): string | undefined => {
  const name = path.posix.basename(place);
  return ['', '.', '..'].includes(name) ? undefined : name;
};

/**
 * Finds the directories that agents can write to: the engine's list has the mounts of every instance of
 * this jackin home, and one that has ended may have left a link. An engine in a virtual machine
 * calls directories of this machine by other names, so their names inside count as well then.
 */
const exposureOf = (instances: Instance[], platform: NodeJS.Platform): Exposure => {
  const mountsOf = ({ id, engine }: Instance): WritableMount[] =>
    (engine?.binds ?? []).filter(({ readonly }) => !readonly).flatMap(({ source, target }) => {
      const names = identityOf(source) === undefined ? [source.replace(/^\/host_mnt(?=\/)/, ''), target] : [source];
      return names.map((name) => ({ source: name, instance: id }));
    });
  return { mounts: instances.flatMap(mountsOf), platform };
};

/** Copies a file or a directory between the host and an instance that runs. */
export const copy = async ({ direction, selector, host, inside }: CopyRequest, deps: Deps): Promise<CopyDone> => {
  const { engine, instances } = await openInstances(deps);
  const instance = selectRunning(instances, selector);
  const { id, container } = instance;
  const hostPlace = absolute(deps.cwd, host);
  const insidePlace = insidePath(inside, instance.record?.workdir ?? '/');
  const call = (argv: string[]): CopyCall => ({
    start: async () => await engine.exec(container, [...PROGRAM, direction, ...argv]),
    instance: id,
    signal: deps.signal,
  });
  const exposure = exposureOf([...instances, instance], deps.platform ?? process.platform);
  const named = `${id}:${insidePlace}`;
  if (direction === 'out') {
    const result = await copyOut({ target: hostPlace, name: nameIn(insidePlace), exposure }, call([identitiesAbove(hostPlace).join(','), insidePlace]));
    return { ...result, instanceId: id, container, from: named, to: hostPlace };
  }
  const name = nameIn(hostPlace);
  const result = await copyIn({ source: hostPlace, exposure }, call([identityOf(hostPlace) ?? '', insidePlace, ...(name === undefined ? [] : [name])]));
  return { ...result, instanceId: id, container, from: hostPlace, to: named };
};
