import { constants } from 'node:os';
import type { SessionEnd } from '../docker/attach.ts';
import type { Deps } from '../launch/deps.ts';
import { EXIT_CODES } from '../shared/errors.ts';
import { type Format, printResult, say } from './output.ts';

/** Exit code of a session that ended or was left: the agent's own, or that of the signal that made us leave. */
export const exitCodeOf = (end: SessionEnd): number => {
  if (end.kind === 'exited') return end.code;
  if (end.kind === 'lost') return EXIT_CODES[end.where === 'engine' ? 'engine.unreachable' : 'failed'];
  const signal = constants.signals[end.reason as NodeJS.Signals];
  return signal === undefined ? 0 : 128 + signal;
};

/** What a JSON result says of the end. `origin` tells whose exit code it is. */
export const endData = (end: SessionEnd): Record<string, unknown> => {
  if (end.kind === 'exited') return { session: end.id, exit_code: end.code, origin: 'agent' };
  return end.kind === 'lost' ? { exit_code: exitCodeOf(end), origin: 'jackin', lost: end.why } : {};
};

/** The result of a session that was opened or joined: the id where it goes on without us, everything as JSON. */
export const printSession = (
  { instanceId, container, end, output }: { instanceId: string; container: string; end: SessionEnd; output: string | undefined },
  kind: string,
  format: Format,
  deps: Deps,
): void => {
  if (format === 'json') printResult(deps, format, { instance_id: instanceId, container, ...endData(end), ...(output !== undefined && { output }) }, () => '');
  else if (kind === 'detached') printResult(deps, format, {}, () => instanceId);
};

const AFTER_LOSS: Record<Extract<SessionEnd, { kind: 'lost' }>['where'], (id: string) => string> = {
  engine: (id) => `the session may still run: once the engine answers, \`jackin hardline ${id}\` attaches again`,
  container: (id) => `its sessions are over: \`jackin hardline ${id}\` starts it again from its state`,
  connection: (id) => `the session may still run: \`jackin hardline ${id}\` attaches again`,
};

/** What to do with the instance now, on stderr. */
export const sayAfterwards = (id: string, end: SessionEnd, deps: Deps): void => {
  switch (end.kind) {
    case 'exited':
      return say(
        deps,
        end.left > 0
          ? `${end.id} ended with code ${end.code}; instance ${id} runs on with ${end.left} other session${end.left === 1 ? '' : 's'}: \`jackin hardline ${id}\` attaches`
          : `${end.id} ended with code ${end.code}; the instance ${id} is kept: \`jackin hardline ${id}\` starts it again, \`jackin eject ${id}\` removes its container, \`jackin purge ${id}\` then its state`,
      );
    case 'detached':
      return say(deps, `instance ${id} runs: \`jackin hardline ${id}\` attaches, \`jackin eject ${id}\` ends it`);
    default:
      return say(deps, `lost the connection (${end.why}); ${AFTER_LOSS[end.where](id)}`);
  }
};
