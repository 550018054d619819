import type { SetupReport } from '../capsule/protocol.ts';
import { openAttached, openDetached, type Opening, openPiped, type SessionEnd } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import { updateStatus } from '../instances/record.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import { connectCapsule } from './connect-capsule.ts';
import type { Deps } from './deps.ts';
import type { Ui } from './load.ts';

/** A screen for a session that nobody looks at yet; the first one who attaches gives it theirs. */
export const DETACHED_SIZE = { cols: 120, rows: 40 };

export interface SessionRun {
  engine: Engine;
  container: string;
  /** Its id, which the strip shows. */
  instance: string;
  /** Whose login is told about; undefined: none is set up. */
  agent: string | undefined;
  kind: LaunchPlan['session']['kind'];
  opening: Opening;
  /** The session runs: from here on it is kept, whatever happens. */
  started?: () => Promise<void>;
}

/** Opens a session in a container that runs, and stays as the plan wants it: in this terminal, for one answer, or not at all. */
export const runSession = async ({ engine, container, instance, agent, kind, opening, started }: SessionRun, ui: Ui, deps: Deps): Promise<SessionEnd> => {
  const stream = await connectCapsule(engine, container);
  const committing: Promise<void>[] = [];
  let isStarted = false;
  const options = {
    signal: deps.signal,
    onNote: (text: string) => ui.say(`setup      ${text}`),
    onReady: (report: SetupReport) => {
      for (const { slug, why } of report.logins) if (slug === agent) ui.say(`login      in the container: ${why}`);
      if (report.github !== undefined) ui.say(`github     in the container: ${report.github}`);
    },
    onStarted: () => {
      isStarted = true;
      if (started !== undefined) committing.push(started());
    },
  };
  const run = (): Promise<SessionEnd> => {
    switch (kind) {
      case 'detached':
        return openDetached(stream, opening, options);
      case 'prompt':
        return openPiped(stream, opening, { stdin: ui.promptInput, stdout: ui.promptOutput as never, stderr: deps.stderr, signals: deps.signals }, options);
      case 'attached':
        return openAttached(stream, opening, { terminal: ui.terminal(), signals: deps.signals, instance, ...ui.screen }, options);
      default:
        return kind satisfies never;
    }
  };
  const end = await run();
  await Promise.all(committing);
  if (end.kind === 'lost' && !isStarted) throw new JackinError('failed', `the session did not start: ${end.why}`);
  return end;
};

/** Writes down how an instance ended. While other sessions run it has not. */
export const recordEnd = async (dataDir: string, container: string, end: SessionEnd, now: Date): Promise<void> => {
  if (end.kind === 'exited' && end.left === 0) await updateStatus(dataDir, container, end.code === 0 ? 'clean_exited' : 'crashed', now);
};

/** For what must not end a session that runs. */
export const tellTrouble =
  (what: string, ui: Pick<Ui, 'say'>) =>
  (error: unknown): void =>
    ui.say(`note       ${what}: ${messageOf(error)}`);
