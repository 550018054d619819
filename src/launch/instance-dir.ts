import { chmod, lstat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type GithubChange, provisionGithub } from '../auth/github-handoff.ts';
import { linkHandoffNames, placeStandIn, provisionHandoff } from '../auth/handoff.ts';
import type { HandoffChange } from '../auth/handoff.ts';
import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import { withHandoffLock } from '../keeper/hand-out.ts';
import { writeLease } from '../keeper/holders.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { asDiskError, ensurePrivateDir, unlessMissing } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import { leasedAccount } from './lease.ts';

/** Names that Debian programs look for; without them `ls -l` and many tools show bare numbers. */
const SYSTEM_USERS = [
  'root:x:0:0:root:/root:/bin/bash',
  'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin',
  'bin:x:2:2:bin:/bin:/usr/sbin/nologin',
  'sys:x:3:3:sys:/dev:/usr/sbin/nologin',
  'mail:x:8:8:mail:/var/mail:/usr/sbin/nologin',
  'www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin',
  '_apt:x:42:65534::/nonexistent:/usr/sbin/nologin',
  'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
];
const SYSTEM_GROUPS = ['root:x:0:', 'daemon:x:1:', 'bin:x:2:', 'sys:x:3:', 'tty:x:5:', 'disk:x:6:', 'mail:x:8:', 'www-data:x:33:', 'nogroup:x:65534:'];

const nameOf = (line: string): string => line.split(':')[2]!;

/** `agent` comes first: it is the answer when its id is a system one as well. */
const passwdText = ({ uid, gid }: { uid: number; gid: number }): string => {
  const others = SYSTEM_USERS.filter((line) => nameOf(line) !== String(uid) || uid === 0);
  return [`agent:x:${uid}:${gid}:agent:/home/agent:/bin/bash`, ...others, ''].join('\n');
};

const groupText = (gid: number): string => {
  const others = SYSTEM_GROUPS.filter((line) => nameOf(line) !== String(gid) || gid === 0);
  return [`agent:x:${gid}:`, ...others, ''].join('\n');
};

/** Makes a directory of the instance, and those above it up to the state itself, 0700 and owned by the user of the container. */
const makeOwned = async (root: string, relative: string, owner: { uid: number; gid: number }): Promise<void> => {
  let current = root;
  for (const part of relative.split('/')) {
    current = path.join(current, part);
    await ensurePrivateDir(current, { owner, inside: true });
  }
};

/** Readable for everybody, whatever the umask: the user of the container need not be the one who writes it. */
const writePublic = async (file: string, text: string): Promise<void> => {
  await writeFile(file, text);
  await chmod(file, 0o644);
};

/** What of the host's logins goes into the state of an instance. Holds secrets. */
export interface HandedOver {
  logins: HandoffChange[];
  /** What it gets of a login of jackin's own. Read when it is written: its keeper may have renewed it by then. */
  lease?: () => Promise<HandoffChange[]>;
  github: GithubChange;
}

/**
 * Fills the state directory of an instance: who the agent is, its durable homes, and
 * a generation of the handoff. The directory itself is there; what an earlier launch
 * has left in it stays, the handed-over logins aside.
 */
export const fillInstanceDir = async (directory: string, plan: LaunchPlan, handedOver: HandedOver): Promise<void> => {
  const owner = plan.container.user;
  await ensurePrivateDir(path.join(directory, '.jackin'), { inside: true });
  await writePublic(path.join(directory, '.jackin', 'passwd'), passwdText(owner));
  await writePublic(path.join(directory, '.jackin', 'group'), groupText(owner.gid));
  await makeOwned(directory, 'state', owner);
  const agents = plan.role.agents as AgentSlug[];
  for (const home of agents.flatMap((slug) => AGENTS[slug].homes)) await makeOwned(directory, path.join('home', home), owner);
  await handOver(directory, plan, handedOver);
};

/** Brings what is handed over to an instance in line with what the host has; its container may run. */
export const handOver = async (directory: string, plan: LaunchPlan, { logins, lease, github }: HandedOver): Promise<void> => {
  const owner = plan.container.user;
  const agents = plan.role.agents as AgentSlug[];
  await makeOwned(directory, '.config/gh', owner);
  await provisionGithub(path.join(directory, '.config', 'gh'), owner, github);
  await withHandoffLock(directory, async () => {
    await provisionHandoff(path.join(directory, 'handoff'), [...logins, ...((await lease?.()) ?? [])], owner);
    // From here on the keeper hands it newer ones, or none any more.
    await writeLease(directory, leasedAccount(plan));
  });
  const standIns = plan.auth.filter(({ mode }) => mode !== 'sync').map(({ agent }) => AGENTS[agent as AgentSlug]).filter(({ login }) => login?.account !== undefined);
  const linked = agents.map((slug) => AGENTS[slug]).filter((agent) => !standIns.includes(agent));
  await linkHandoffNames(directory, linked.flatMap(({ handoffs }) => handoffs));
  for (const { handoffs, login } of standIns) await placeStandIn(directory, handoffs[0], login!.account!.handoff);
};

/** Explains why a state could not be written: another jackin may have purged it, and then it stays away. */
export const stateError = async (directory: string, error: unknown): Promise<unknown> => {
  if ((await unlessMissing(lstat(directory)).catch(() => true)) === undefined) {
    return new JackinError('conflict', `the state of ${path.basename(directory)} was removed by another jackin while it was being started`, {
      hint: 'start anew with `jackin load`',
      cause: error,
    });
  }
  return asDiskError(error, `writing the state of the instance in ${directory}`);
};
