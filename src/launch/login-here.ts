import { locatePaths } from '../config/paths.ts';
import { type AuthDecision, resolveAuth } from '../config/resolve-auth.ts';
import { resolveRole } from '../config/resolve.ts';
import type { Deps } from './deps.ts';
import { type Choose, findPlace } from './place.ts';

/**
 * Which Kimi login a command is about: the one of jackin's own that is named, else what
 * a launch from the current directory would use. `example` writes the command that
 * names one, for a directory of several workspaces when nobody can be asked.
 */
export const kimiLoginHere = async (named: string | undefined, choose: Choose, example: string, deps: Deps): Promise<AuthDecision> => {
  const target = { kind: 'current' as const, path: deps.cwd };
  // With a login that is named, no file has a say, and none that is broken may be in the way.
  const files = named === undefined ? (await findPlace(target, locatePaths(deps), deps, choose, () => example)).files : { global: undefined, workspace: undefined };
  return resolveAuth(files, resolveRole(files)?.value ?? '', 'kimi', deps.home, named);
};
