import type { Paths } from '../config/paths.ts';
import { resolveAuth } from '../config/resolve-auth.ts';
import { resolveRole } from '../config/resolve.ts';
import type { Deps } from './deps.ts';
import { findPlace } from './place.ts';
import type { LoginDecision } from './read-decided-login.ts';

/** Whose Kimi login a launch from the current directory would use; `example` writes the command that names one. */
export const kimiLoginHere = async (paths: Paths, deps: Deps, example: string): Promise<LoginDecision> => {
  const { files } = await findPlace({ kind: 'current', path: deps.cwd }, paths, deps, undefined, () => example);
  return resolveAuth(files, resolveRole(files)?.value ?? '', 'kimi', deps.home);
};
