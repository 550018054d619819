import path from 'node:path';
import type { AgentSlug } from '../agents/agents.ts';
import type { Opening, SessionEnd } from '../docker/attach.ts';
import { copyAgentInto } from '../docker/copy-agent.ts';
import type { Engine } from '../docker/engine.ts';
import { terminalSize } from '../docker/terminal.ts';
import { volumeMemory } from '../docker/volume-memory.ts';
import { ensureAgentVolume } from '../docker/agent-volumes.ts';
import { type InstanceRecord, updateRecord } from '../instances/record.ts';
import { JackinError } from '../shared/errors.ts';
import { currentOwner } from '../shared/owner.ts';
import { sessionsOf } from './attach.ts';
import { launchRequest, readHandedOver, spawnRequest } from './deliver.ts';
import type { Deps } from './deps.ts';
import { handOver, stateError } from './instance-dir.ts';
import { withId } from './instantiate.ts';
import { holdLease, type LeaseHold } from './lease.ts';
import type { PlannedLaunch, Ui } from './load.ts';
import { isInterrupt } from './report-failure.ts';
import { DETACHED_SIZE, recordEnd, runSession, tellTrouble } from './run-session.ts';
import { readValues } from './values.ts';

/** How long a container that was started for nothing may take to stop. */
const STOP_SECONDS = 5;

export interface Standing {
  engine: Engine;
  record: InstanceRecord;
  /** `stopped`: its container is started first. `idle`: it runs, but nothing was launched in it since. `busy`: sessions run. */
  state: 'stopped' | 'idle' | 'busy';
}

/** The agent's program is in the container already, or comes now: mounts cannot be added to one that is there. */
const ensureAgentInside = async ({ engine, record }: Standing, { plan, paths }: PlannedLaunch, ui: Ui, deps: Deps): Promise<void> => {
  const slug = plan.agent.slug as AgentSlug;
  if (record.agents_inside?.[slug] !== undefined) return;
  const call = { signal: deps.signal, onLine: (message: string) => ui.report({ step: `agent ${slug}`, message }) };
  const shared = { image: record.image_tag, owner: currentOwner() };
  const volume = await ensureAgentVolume(engine, { ...shared, cache: paths.cacheDir, env: deps.env, agent: slug, version: plan.agent.version ?? undefined, expected: plan.agent.packages ?? undefined }, call);
  await copyAgentInto(engine, { ...shared, volume: volume.name, memory: volumeMemory(paths.cacheDir), container: record.container, agent: slug }, call);
  const inside = { ...record.agents_inside, [slug]: volume.version };
  await updateRecord(paths.dataDir, record.container, { agents_inside: inside }, deps.now()).catch(tellTrouble('the agent in the container cannot be recorded', ui));
};

const startAgain = async (engine: Engine, { container, instance_id: id }: InstanceRecord): Promise<void> => {
  try {
    await engine.startContainer(container);
  } catch (error) {
    if (!(error instanceof JackinError) || error.code === 'engine.unreachable') throw error;
    const hint = `\`jackin eject ${id}\` removes the container and keeps the state; \`jackin hardline ${id}\` then makes a new one`;
    throw new JackinError(error.code, error.message, { hint, cause: error });
  }
};

/** Whether it was stopped: somebody else may have come back at the same time, and be at work in it. */
const stopIfIdle = async (engine: Engine, { container, instance_id: id }: InstanceRecord): Promise<boolean> => {
  const sessions = await sessionsOf(engine, { container, id }, { signal: AbortSignal.timeout(STOP_SECONDS * 1000) });
  if (sessions.length > 0) return false;
  await engine.stopContainer(container, STOP_SECONDS);
  return true;
};

/**
 * Opens a session of an agent in a container that exists: its login is handed over
 * and reconciled, keys and environment are read and sent anew. A container that was
 * started for a session which does not come is stopped again.
 */
export const openAgentSession = async (standing: Standing, planned: PlannedLaunch, ui: Ui, deps: Deps): Promise<SessionEnd> => {
  const plan = withId(planned.plan, standing.record.instance_id, planned.paths.dataDir);
  const hold = await holdLease(plan, standing.record.container, deps, ui.say);
  try {
    return await openWith(hold, standing, { ...planned, plan }, ui, deps);
  } finally {
    hold.release();
  }
};

const openWith = async (hold: LeaseHold, standing: Standing, planned: PlannedLaunch, ui: Ui, deps: Deps): Promise<SessionEnd> => {
  const { engine, record, state } = standing;
  const { paths, config, plan } = planned;
  const { container } = record;
  const values = await readValues(config, deps, ui.say);
  const handedOver = await readHandedOver(plan, hold.read, deps, ui.say);
  const directory = path.join(paths.dataDir, container);
  // Other sessions use the one login for GitHub now: it stays what it is.
  const change = state === 'busy' ? { ...handedOver, github: { action: 'keep' } as const } : handedOver;
  await handOver(directory, plan, change).catch(async (error: unknown) => {
    throw await stateError(directory, error);
  });
  await ensureAgentInside(standing, planned, ui, deps);
  deps.signal.throwIfAborted();
  const size = plan.session.kind === 'attached' ? terminalSize(ui.terminal()) : DETACHED_SIZE;
  const opening: Opening =
    state === 'busy' ? { kind: 'spawn', request: spawnRequest(plan, values, size) } : { kind: 'launch', request: launchRequest(plan, values, size) };
  let running = false;
  const started = async (): Promise<void> => {
    running = true;
    await updateRecord(paths.dataDir, container, { status: 'running' }, deps.now()).catch(tellTrouble('that it runs cannot be recorded', ui));
    await hold.started();
  };
  if (state === 'stopped') await startAgain(engine, record);
  try {
    const end = await runSession({ engine, container, instance: record.instance_id, agent: plan.agent.slug, kind: plan.session.kind, opening, started }, ui, deps);
    await recordEnd(paths.dataDir, container, end, deps.now()).catch(tellTrouble('how the session ended cannot be recorded', ui));
    return end;
  } catch (error) {
    if (state !== 'stopped' || running) throw error;
    const stopped = await stopIfIdle(engine, record).catch(tellTrouble(`${container} cannot be stopped again`, ui));
    throw stopped && isInterrupt(error, deps.signal) ? new JackinError('interrupted', 'interrupted; the container is stopped again', { cause: error }) : error;
  }
};
