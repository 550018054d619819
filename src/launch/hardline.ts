import type { AgentSlug } from '../agents/agents.ts';
import type { SessionInfo } from '../capsule/protocol.ts';
import type { Paths } from '../config/paths.ts';
import { endSession, type SessionEnd } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import { beingLaunched, type Instance, type InstanceState, selectInstances, stateOf } from '../instances/find.ts';
import type { SessionMode } from '../plan/request.ts';
import { JackinError } from '../shared/errors.ts';
import { attachToInstance, sessionsOf } from './attach.ts';
import { connectCapsule, remedyFor } from './connect-capsule.ts';
import type { Deps } from './deps.ts';
import type { Ui } from './load.ts';
import { openInstances } from './open-instances.ts';
import { openShell } from './open-shell.ts';
import type { Choose } from './place.ts';
import { reviveKeeper } from './revive-keeper.ts';

export type Doing =
  /** Back to a session, or to the agent that the instance was made for. */
  | { kind: 'back'; session: string | undefined }
  | { kind: 'agent'; agent: AgentSlug | undefined; agentArguments: string[] }
  | { kind: 'shell'; argv: string[] }
  | { kind: 'end'; session: string }
  | { kind: 'inspect' };

export interface HardlineRequest {
  selector: string | undefined;
  doing: Exclude<Doing, { kind: 'inspect' }>;
  /** `piped`: the program of a shell session, on the streams of this process. */
  session: SessionMode | { kind: 'piped' };
}

export interface HardlineResult {
  instanceId: string;
  container: string;
  end: SessionEnd;
  /** What was ended, in words, when that was all. */
  ended?: string;
}

const TIERS: InstanceState[] = ['running', 'exited', 'ejected'];

/**
 * The one instance that is meant. Those that run go before those that do not, so
 * that a role's name means the one at work; without a selector only those count.
 */
export const selectOne = (instances: Instance[], selector: string | undefined): Instance => {
  const named = selector === undefined ? instances.filter((instance) => stateOf(instance) === 'running') : selectInstances(instances, { selector, all: true }, 'hardline');
  // One that is only being launched is meant when there is no other.
  const whole = named.filter(({ launcher, record }) => launcher === undefined || record !== undefined);
  const candidates = whole.length > 0 ? whole : named;
  const states = candidates.map(stateOf);
  const best = TIERS.find((state) => states.includes(state));
  if (best === undefined) {
    const hint = instances.length === 0 ? 'start one with `jackin load`' : 'name one to start it again: `jackin status` lists them';
    throw new JackinError('not-found', 'no instance is running', { hint });
  }
  return selectInstances(candidates.filter((instance) => stateOf(instance) === best), { selector: undefined, all: false }, 'hardline')[0]!;
};

export interface Opened {
  engine: Engine;
  paths: Paths;
  instance: Instance;
}

const assertRuns = (instance: Instance): void => {
  if (stateOf(instance) === 'running') return;
  throw new JackinError('conflict', `instance ${instance.id} does not run`, { hint: `\`jackin hardline ${instance.id}\` starts its agent again` });
};

/** `kimi-1 (running), shell-1 (exited with 0)`. */
const listed = (sessions: SessionInfo[]): string =>
  sessions.map(({ id, state, code }) => `${id} (${state === 'exited' ? `exited with ${code}` : state})`).join(', ');

const assertSession = (instance: Instance, sessions: SessionInfo[], name: string): void => {
  if (sessions.some(({ id }) => id === name)) return;
  throw new JackinError('not-found', `instance ${instance.id} has no session ${JSON.stringify(name.slice(0, 80))}`, {
    hint: sessions.length === 0 ? `\`jackin hardline ${instance.id}\` starts its agent again` : `its sessions: ${listed(sessions)}`,
  });
};

/** Loaded only when it is needed: coming back to what runs must not wait for it. */
const startAgent: typeof import('./start-again.ts').startAgent = async (...parts) => (await import('./start-again.ts')).startAgent(...parts);

const act = async (opened: Opened, request: HardlineRequest, ui: Ui, choose: Choose, deps: Deps): Promise<{ end: SessionEnd; ended?: string }> => {
  const { engine, paths, instance } = opened;
  const { doing, session } = request;
  const { container } = instance;
  const listSessions = async () => (stateOf(instance) === 'running' ? sessionsOf(engine, instance, deps) : []);
  switch (doing.kind) {
    case 'back': {
      const check = (sessions: SessionInfo[]) => {
        if (doing.session !== undefined) assertSession(instance, sessions, doing.session);
      };
      if (session.kind === 'attached' && stateOf(instance) === 'running') {
        const end = await attachToInstance({ engine, paths, container, id: instance.id }, { session: doing.session, check }, { terminal: ui.terminal(), screen: ui.screen }, deps);
        return { end: end ?? (await startAgent(opened, [], request, ui, choose, deps)) };
      }
      const sessions = await listSessions();
      check(sessions);
      return { end: sessions.length > 0 ? { kind: 'detached', reason: 'asked' } : await startAgent(opened, sessions, request, ui, choose, deps) };
    }
    case 'agent':
      return { end: await startAgent(opened, await listSessions(), request, ui, choose, deps) };
    case 'shell': {
      assertRuns(instance);
      const how = session.kind === 'prompt' ? 'piped' : session.kind;
      return { end: await openShell({ engine, paths, instance, workdir: instance.record?.workdir ?? '/' }, doing.argv, how, ui, deps) };
    }
    case 'end': {
      assertRuns(instance);
      const stream = await connectCapsule(engine, container, () => remedyFor(instance.id));
      const code = await endSession(stream, doing.session, { signal: deps.signal, limits: deps.capsuleLimits });
      const ended = code === undefined ? `${doing.session}, the last session of instance ${instance.id}: its container ends as well` : `${doing.session} (code ${code})`;
      return { end: { kind: 'detached', reason: 'asked' }, ended };
    }
    default:
      return doing satisfies never;
  }
};

/**
 * Comes back to an instance, whatever became of it: attaches to what runs, starts
 * again what was stopped, makes anew what was ejected; or starts another agent or
 * a shell beside what runs. See docs/sessions.md for the table.
 */
export const hardline = async (request: HardlineRequest, ui: Ui, choose: Choose, deps: Deps): Promise<HardlineResult> => {
  // Before anything is started: without a terminal there is nothing to attach it to.
  if (request.session.kind === 'attached' && request.doing.kind !== 'end') ui.terminal();
  const { engine, paths, instances } = await openInstances(deps);
  const instance = selectOne(instances, request.selector);
  if (instance.launcher !== undefined) throw beingLaunched(instance);
  // Coming back must not wait for it, nor fail with it.
  void reviveKeeper(instances, paths, deps).catch(() => undefined);
  const done = await act({ engine, paths, instance }, request, ui, choose, deps);
  return { instanceId: instance.id, container: instance.container, ...done };
};
