import { constants } from 'node:os';
import type { SessionEnd } from '../docker/attach.ts';
import type { Deps } from '../launch/deps.ts';
import { say } from './output.ts';

/** Exit code of a session that ended or was left: the agent's own, or that of the signal that made us leave. */
export const exitCodeOf = (end: SessionEnd): number => {
  if (end.kind === 'exited') return end.code;
  if (end.kind === 'lost') return 1;
  const signal = constants.signals[end.reason as NodeJS.Signals];
  return signal === undefined ? 0 : 128 + signal;
};

/** What to do with the instance now, on stderr. */
export const sayAfterwards = (id: string, end: SessionEnd, deps: Deps): void => {
  switch (end.kind) {
    case 'exited':
      return say(deps, `session ended with code ${end.code}; the instance ${id} is kept: \`jackin eject ${id}\` removes its container, \`jackin purge ${id}\` then its state`);
    case 'detached':
      return say(deps, `instance ${id} runs: \`jackin hardline ${id}\` attaches, \`jackin eject ${id}\` ends it`);
    default:
      return say(deps, `lost the connection (${end.why}); the session may still run: \`jackin hardline ${id}\` attaches again`);
  }
};
