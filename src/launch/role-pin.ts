import type { AgentSlug } from '../agents/agents.ts';
import { readConfigFiles } from '../config/files.ts';
import { locatePaths } from '../config/paths.ts';
import { agentPackages, cachedAgentVolumes } from '../docker/agent-volumes.ts';
import type { RoleSelector } from '../plan/request.ts';
import { chooseAgent } from '../plan/session.ts';
import { lockFileOf, removeLock, type RoleLock, writeLock } from '../roles/lock-file.ts';
import { asDiskError } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import { currentOwner } from '../shared/owner.ts';
import type { Deps } from './deps.ts';
import { imageFacts } from './facts.ts';
import { obtainRole, type RoleAsking, settleTrust } from './obtain-role.ts';
import { prepareEngine, wantedFor } from './prepare.ts';
import { shownText } from './role-offer.ts';

export interface PinnedRole {
  file: string;
  lock: RoleLock;
}

/** As the newest commit that is trusted, whatever was pinned before. */
const AS_IT_IS = { freshness: 'cached', trust: undefined, refusalEnds: true, pinned: false } as const;

/**
 * Writes down what a launch of the role uses now: its commit and files, the
 * construct, and of each agent every package with its digest. The agents are those
 * that are named, else those that are cached, else the one that a load starts.
 */
export const pinRole = async (selector: RoleSelector, named: AgentSlug[], asking: RoleAsking, deps: Deps): Promise<PinnedRole> => {
  const paths = locatePaths(deps);
  const { global } = await readConfigFiles(paths);
  const obtained = await obtainRole(selector, AS_IT_IS, global?.value.roles ?? {}, paths, asking, deps);
  await settleTrust(obtained, paths);
  const { role } = obtained;
  for (const note of role.notes) asking.say(`note       ${shownText(note)}`);
  const foreign = named.find((slug) => !role.agents.includes(slug));
  if (foreign !== undefined) throw new JackinError('usage', `role ${role.key} has no ${foreign}`, { hint: `its agents: ${role.agents.join(', ')}` });

  const versionOf = (agent: AgentSlug) => global?.value.agents?.[agent]?.version;
  const engine = await deps.connectEngine(deps.env);
  const facts = await imageFacts(deps, role);
  const wish = (agents: AgentSlug[]) => agents.map((agent) => ({ agent, version: versionOf(agent) }));
  const cached = named.length > 0 ? [] : await cachedAgentVolumes(engine, wish(role.agents), { cache: paths.cacheDir });
  const agents = named.length > 0 ? named : cached.length > 0 ? cached.map(({ agent }) => agent) : [chooseAgent(undefined, undefined, role, []).slug];

  const lock: RoleLock = {
    version: 1,
    role: role.key,
    ...(role.source.kind === 'git' && { source: role.source.url, commit: role.source.commit }),
    content: role.contentHash,
    construct: facts.construct,
    agents: {},
  };
  for (const slug of agents) {
    const wanted = wantedFor(role, facts, { slug, version: versionOf(slug) ?? null, packages: null });
    const { image, agentVolume } = await prepareEngine(deps, paths, engine, wanted, asking.report);
    const step = { signal: deps.signal, onLine: (message: string) => asking.report({ step: `agent ${slug}`, message }) };
    const packages = await agentPackages(engine, agentVolume.name, { image, cache: paths.cacheDir, owner: currentOwner(), env: deps.env }, step);
    lock.agents[slug] = { version: agentVolume.version, packages };
  }
  const file = lockFileOf(paths, role);
  await writeLock(file, lock).catch((error: unknown) => {
    throw asDiskError(error, `writing ${file}`);
  });
  return { file, lock };
};

/** Takes a pin away. */
export const unpinRole = async (selector: RoleSelector, deps: Deps): Promise<{ file: string; removed: boolean }> => {
  const paths = locatePaths(deps);
  // The role itself may be broken by now, or gone: its lock can be removed all the same.
  const source = selector.kind === 'folder' ? ({ kind: 'folder', path: selector.path } as const) : ({ kind: 'built-in', path: '' } as const);
  const file = lockFileOf(paths, { key: selector.kind === 'folder' ? '' : selector.key, source });
  return { file, removed: await removeLock(file) };
};
