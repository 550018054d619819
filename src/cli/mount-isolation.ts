import type { MountIsolation } from '../config/change-workspace.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { hostPath } from './load.ts';

const TYPES = ['shared', 'worktree', 'clone'] as const;

/** `DST=TYPE` of `--mount-isolation`. */
export const parseIsolation = (text: string, deps: Deps): MountIsolation => {
  const at = text.lastIndexOf('=');
  const isolation = TYPES.find((type) => type === text.slice(at + 1));
  if (at <= 0 || isolation === undefined) {
    throw new JackinError('usage', `--mount-isolation ${text}: expected the destination of a mount, "=" and one of ${TYPES.join(', ')}`);
  }
  return { dst: hostPath(text.slice(0, at), deps), isolation };
};
