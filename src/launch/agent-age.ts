import type { AgentSlug } from '../agents/agents.ts';
import type { Paths } from '../config/paths.ts';
import { agentChecks } from '../docker/agent-checks.ts';
import type { Engine } from '../docker/engine.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A look at the registry that is older is mentioned. */
const OLD_DAYS = 14;

interface Started {
  slug: AgentSlug;
  /** Name of the volume that it is started from. */
  volume: string;
  version: string;
}

const lastLook = async (engine: Engine, paths: Paths, { slug, volume }: Started): Promise<Date> => {
  const checked = await agentChecks(paths.cacheDir).at(slug);
  // Somebody else's jackin may have filled it: that was a look as well.
  return checked ?? new Date((await engine.volume(volume))?.createdAt ?? Number.NaN);
};

/** One line for who starts an agent of which nobody has looked for a newer version for a while; undefined otherwise. */
export const agentAgeNote = async (engine: Engine, paths: Paths, started: Started, now: Date): Promise<string | undefined> => {
  const days = Math.floor((now.getTime() - (await lastLook(engine, paths, started)).getTime()) / DAY_MS);
  if (!(days >= OLD_DAYS)) return undefined;
  return `note       ${started.slug} ${started.version} was last looked for ${days} days ago; \`jackin agents update ${started.slug}\` looks again`;
};
