import path from 'node:path';
import { locatePaths } from '../config/paths.ts';
import { type Construct, constructStatus, type ConstructOptions, type ConstructStatus, ensureConstruct } from '../docker/construct.ts';
import type { Report } from '../shared/progress.ts';
import type { Deps } from './deps.ts';

const optionsOf = ({ packageRoot, env }: Deps): ConstructOptions => ({ packageRoot, override: env.JACKIN_CONSTRUCT_IMAGE, env });

/** What stands for the construct on this engine, or would. */
export const showConstruct = async (deps: Deps): Promise<ConstructStatus> => await constructStatus(await deps.connectEngine(deps.env), optionsOf(deps));

/** Makes the construct when the engine does not have it, or anyway. */
export const buildConstruct = async (rebuild: boolean, report: Report, deps: Deps): Promise<Construct> => {
  const engine = await deps.connectEngine(deps.env);
  const locks = path.join(locatePaths(deps).cacheDir, 'builds');
  return await ensureConstruct(engine, { ...optionsOf(deps), rebuild, locks }, {
    signal: deps.signal,
    onLine: (message, progress) => report({ step: 'construct', message, ...progress }),
  });
};
