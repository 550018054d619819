import path from 'node:path';
import { describeOrigin } from '../config/layers.ts';
import type { MountEntry } from '../config/resolve-mounts.ts';
import { contains, touches, withoutTrailingSlash } from '../config/values.ts';
import { JackinError } from '../shared/errors.ts';
import type { Facts, MountFacts } from './facts.ts';

/** Below the operator's home: places that hold logins and keys. */
const CREDENTIAL_PLACES = [
  '.ssh', '.aws', '.gnupg', '.kube', '.docker', '.netrc', '.npmrc', '.git-credentials',
  '.config/gcloud', '.config/gh', '.config/op', '.config/jackin',
  '.kimi', '.kimi-code', '.claude', '.claude.json', '.codex', '.local/share/amp', '.local/share/opencode',
]; // prettier-ignore

const ENGINE_SOCKETS = ['/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock'];

/** Container paths that jackin or the system needs as they are. */
const RESERVED_TARGETS = ['/', '/jackin', '/home/agent', '/proc', '/sys', '/dev', '/etc', '/usr', '/bin', '/lib', '/sbin'];
/** Of these, only the path itself is reserved, not what lies below. */
const OPEN_BELOW = new Set(['/', '/home/agent', '/etc', '/usr']);

const refuse = (message: string, hint: string): never => {
  throw new JackinError('usage', message, { hint });
};

const checkSource = (mount: MountEntry, facts: MountFacts, jackinHome: string): string => {
  const where = describeOrigin(mount.origin);
  if (facts.real === undefined) {
    throw new JackinError('not-found', `mount source ${mount.source} does not exist (${where})`, {
      hint: 'create it, or correct the mount',
    });
  }
  if (facts.real === '/') refuse(`the whole file system cannot be mounted (${where})`, 'mount the directory that the agent needs');
  if (facts.kind === 'socket' || ENGINE_SOCKETS.includes(facts.real)) {
    refuse(`${mount.source} is a socket: an agent that reaches the engine is root on this machine (${where})`, 'leave this mount out');
  }
  const real = facts.real;
  const held = ENGINE_SOCKETS.find((socket) => contains(real, socket));
  if (held !== undefined) refuse(`${mount.source} holds ${held}: an agent that reaches the engine is root on this machine (${where})`, 'mount a directory without it');
  // The agent has the operator's uid: through a process of the operator it would reach its environment and every file.
  if (contains('/proc', real)) refuse(`${mount.source} leads to every process of this machine (${where})`, 'leave this mount out');
  if (contains(jackinHome, facts.real)) {
    refuse(`${mount.source} holds the state and logins of other instances (${where})`, 'mount a directory outside of the jackin home');
  }
  return facts.real;
};

const checkTarget = (mount: MountEntry, agentHomes: string[]): void => {
  const target = withoutTrailingSlash(mount.target);
  const reserved = RESERVED_TARGETS.find((place) => (OPEN_BELOW.has(place) ? place === target : contains(place, target)));
  const home = agentHomes.find((place) => contains(target, place));
  if (reserved === undefined && home === undefined) return;
  const what = home === undefined ? `${reserved} belongs to jackin or to the system` : `it would hide ${home}`;
  refuse(`${mount.target} cannot be a mount's destination: ${what} (${describeOrigin(mount.origin)})`, 'choose another destination');
};

const sensitivity = (real: string, { operatorHome: home, jackinHome, configDir }: Facts['paths'], logins: string[]): string | undefined => {
  if (contains(real, home)) return 'it holds your home directory, with every login and key in it';
  if (contains(real, jackinHome)) return `it holds ${jackinHome}, with the state and logins of every instance`;
  const places = [...CREDENTIAL_PLACES.map((name) => path.join(home, name)), configDir, ...logins];
  const place = places.find((candidate) => touches(candidate, real));
  return place === undefined ? undefined : contains(place, real) ? `${place} holds credentials` : `it holds ${place}, with credentials in it`;
};

export interface MountVerdict {
  consents: { path: string; why: string; given: boolean }[];
}

/**
 * Refuses mounts that would give the container the host or jackin's own state, and
 * lists those that need the operator's word. Works on real paths, so that a link is
 * judged by what it points at.
 */
export const judgeMounts = (
  mounts: MountEntry[],
  facts: Pick<Facts, 'mounts' | 'paths' | 'logins'>,
  agentHomes: string[],
  allowed: string[],
): MountVerdict => {
  const consents: MountVerdict['consents'] = [];
  const logins = Object.values(facts.logins).map(({ dir }) => dir);
  const targets = new Map<string, MountEntry>();
  mounts.forEach((mount, index) => {
    const real = checkSource(mount, facts.mounts[index]!, facts.paths.jackinHome);
    checkTarget(mount, agentHomes);
    const target = withoutTrailingSlash(mount.target);
    const other = targets.get(target);
    if (other !== undefined) {
      refuse(`two mounts on one destination: ${target} is the destination of ${other.source} (${describeOrigin(other.origin)}) and of ${mount.source} (${describeOrigin(mount.origin)})`, 'remove one of them or give it another destination');
    }
    targets.set(target, mount);
    const { missingPoint } = facts.mounts[index]!;
    if (missingPoint !== undefined) {
      refuse(`${mount.target} lies in another mount, which has no ${missingPoint} to put it on (${describeOrigin(mount.origin)})`, 'create it, or choose another destination');
    }
    const why = sensitivity(real, facts.paths, logins);
    if (why !== undefined) consents.push({ path: mount.source, why, given: allowed.includes(mount.source) });
  });
  return { consents };
};
