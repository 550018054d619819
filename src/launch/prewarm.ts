import type { AgentSlug } from '../agents/agents.ts';
import { readConfigFiles } from '../config/files.ts';
import { locatePaths } from '../config/paths.ts';
import { chooseAgent } from '../plan/session.ts';
import { AS_CACHED, type RoleSelector } from '../plan/request.ts';
import type { Report } from '../shared/progress.ts';
import type { Deps } from './deps.ts';
import { imageFacts } from './facts.ts';
import { obtainRole, settleTrust } from './obtain-role.ts';
import { type Prepared, prepareEngine } from './prepare.ts';

/** Makes everything ready that a launch of the role with this agent would need, and launches nothing. */
export const prewarmRole = async (
  selector: RoleSelector,
  agent: AgentSlug | undefined,
  report: Report,
  deps: Deps,
): Promise<{ slug: AgentSlug; prepared: Prepared }> => {
  const paths = locatePaths(deps);
  const files = await readConfigFiles(paths);
  const obtained = await obtainRole(selector, AS_CACHED, files.global?.value.roles ?? {}, paths, { say: () => undefined, report }, deps);
  await settleTrust(obtained, paths);
  const { role } = obtained;
  const { slug } = chooseAgent(agent, undefined, role, []);
  const { construct, constructIsOverride, role: tag } = await imageFacts(deps, role);
  const engine = await deps.connectEngine(deps.env);
  const wanted = {
    role: { key: role.key, content: role.contentHash, path: role.source.path, hooks: role.hooks },
    image: { construct, construct_is_override: constructIsOverride, role: tag, dockerfile: role.dockerfile },
    agent: { slug, version: files.global?.value.agents?.[slug]?.version ?? null, packages: null },
    others: [],
    rebuild: false,
  };
  return { slug, prepared: await prepareEngine(deps, paths, engine, wanted, report) };
};
