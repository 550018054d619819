import type { SetupReport } from '../capsule/protocol.ts';
import { openAttached, openDetached, type Opening, openPiped, type SessionEnd } from '../docker/attach.ts';
import { CAPSULE_LIMITS, type CapsuleLimits, duration } from '../docker/capsule-limits.ts';
import { lostError } from '../docker/capsule-messages.ts';
import type { Engine } from '../docker/engine.ts';
import { updateStatus } from '../instances/record.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { messageOf } from '../shared/errors.ts';
import { connectCapsule, remedyFor } from './connect-capsule.ts';
import type { Deps } from './deps.ts';
import type { Ui } from './load.ts';

/** A screen for a session that nobody looks at yet; the first one who attaches gives it theirs. */
export const DETACHED_SIZE = { cols: 120, rows: 40 };

/** When a set-up that says nothing is told about. */
const PATIENCE_MS = 30_000;

export interface SessionRun {
  engine: Engine;
  container: string;
  /** Its id, which the strip shows. */
  instance: string;
  /** Whose login is told about; undefined: none is set up. */
  agent: string | undefined;
  kind: LaunchPlan['session']['kind'];
  opening: Opening;
  /** For a container that does not behave; without it the one that rids of a standing instance. */
  remedy?: () => string;
  /** The session runs: from here on it is kept, whatever happens. */
  started?: () => Promise<void>;
}

/** A person at a terminal sees that it goes on, and gives up when they want to; a script cannot. */
const limitsFor = (kind: SessionRun['kind'], deps: Deps): Partial<CapsuleLimits> | undefined =>
  kind === 'attached' ? { ...deps.capsuleLimits, setupMs: Infinity } : deps.capsuleLimits;

/** Listeners that tell a person what happens while a session starts. */
const startNotes = ({ agent, kind }: SessionRun, ui: Ui, limits: Partial<CapsuleLimits> | undefined) => {
  const { setupMs } = { ...CAPSULE_LIMITS, ...limits };
  const until = kind === 'attached' ? 'Ctrl-C gives up' : `it has ${duration(setupMs)}`;
  const patience = setTimeout(() => ui.say(`setup      still being set up in the container; ${until}`), PATIENCE_MS);
  return {
    onNote: (text: string) => ui.say(`setup      ${text}`),
    onReady: (report: SetupReport) => {
      const login = report.logins.find(({ slug }) => slug === agent);
      if (login !== undefined) ui.say(`login      in the container: ${login.why}`);
      if (report.github !== undefined) ui.say(`github     in the container: ${report.github}`);
    },
    over: () => clearTimeout(patience),
  };
};

/** Opens a session in a container that runs, and stays as the plan wants it: in this terminal, for one answer, or not at all. */
export const runSession = async (wanted: SessionRun, ui: Ui, deps: Deps): Promise<SessionEnd> => {
  const { engine, container, instance, kind, opening, started } = wanted;
  const stream = await connectCapsule(engine, container, wanted.remedy ?? (() => remedyFor(instance)));
  const committing: Promise<void>[] = [];
  let isStarted = false;
  const limits = limitsFor(kind, deps);
  const { over, ...notes } = startNotes(wanted, ui, limits);
  const options = {
    ...notes,
    signal: deps.signal,
    limits,
    onStarted: () => {
      over();
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
  const end = await run().finally(over);
  await Promise.all(committing);
  if (end.kind === 'lost' && !isStarted) throw lostError('the session did not start', end);
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
