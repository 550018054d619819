import path from 'node:path';
import type { AgentSlug } from '../agents/agents.ts';
import type { LaunchRequest } from '../capsule/protocol.ts';
import type { Paths } from '../config/paths.ts';
import type { SessionEnd } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import { terminalSize } from '../docker/terminal.ts';
import { ensureHomeId } from '../instances/home-id.ts';
import { type JournalEntry, recoverJournal, undoLaunch, openJournal, closeJournal } from '../instances/journal.ts';
import { type InstanceRecord, writeRecord } from '../instances/record.ts';
import { instanceId } from '../plan/names.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { asDiskError, createPrivateDir, ensureDir } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { currentOwner } from '../shared/owner.ts';
import { agentAgeNote } from './agent-age.ts';
import { remedyFor } from './connect-capsule.ts';
import { launchRequest, readHandedOver } from './deliver.ts';
import type { Deps } from './deps.ts';
import { bringInPulls, fetchForPulls, type PullWorld } from './git-pull/pull.ts';
import { fillInstanceDir, type HandedOver, stateError } from './instance-dir.ts';
import { makeNetwork, startContainer, withId } from './instantiate.ts';
import { holdLease, type LeaseHold } from './lease.ts';
import type { PlannedLaunch, Ui } from './load.ts';
import { type Prepared, prepareEngine, wantedBy } from './prepare.ts';
import { rememberRole } from './remember-role.ts';
import { madeFor } from './replay.ts';
import { isInterrupt, withContext } from './report-failure.ts';
import { DETACHED_SIZE, recordEnd, runSession, tellTrouble } from './run-session.ts';
import { readValues, type Values } from './values.ts';

/** For a container that does not behave and is taken back. */
const TRY_AGAIN = 'try again; a machine under heavy load can be the cause, and so can a hook of the role';

export interface Executed {
  instanceId: string;
  container: string;
  network: string;
  agentVersion: string;
  end: SessionEnd;
}

interface Claim {
  plan: LaunchPlan;
  entry: JournalEntry;
}

const entryFor = (plan: LaunchPlan, id: string, deps: Deps): JournalEntry => ({
  version: 1,
  owner: currentOwner(),
  at: deps.now().toISOString(),
  instance_id: id,
  container: plan.container.name,
  network: plan.container.networks[0]!,
});

/** Takes the place of an instance whose container is gone: same id, same state. */
const claimAgain = async ({ paths, plan: planned }: PlannedLaunch, record: InstanceRecord, deps: Deps): Promise<Claim> => {
  const { instance_id: id, container } = record;
  const plan = withId(planned, id, paths.dataDir);
  if (plan.container.name !== container) {
    throw new JackinError('conflict', `${container} would be called ${plan.container.name} now: its workspace or its role has another name`, {
      hint: `start anew with \`jackin load\`; what was there stays until \`jackin purge ${id}\``,
    });
  }
  const entry = { ...entryFor(plan, id, deps), restores: true };
  if (await openJournal(paths, entry)) return { plan, entry };
  throw new JackinError('conflict', `${container} is being started by another jackin`, { hint: `join it with \`jackin hardline ${id}\` when it stands` });
};

/** Draws ids until one is free: the directory of the instance is the claim. */
const claimInstance = async (planned: PlannedLaunch, deps: Deps): Promise<Claim> => {
  const { dataDir } = planned.paths;
  const inWords = (error: unknown): never => {
    throw asDiskError(error, `making a state directory in ${dataDir}`);
  };
  await ensureDir(dataDir).catch(inWords);
  for (;;) {
    const id = instanceId(deps.randomBytes(8));
    const plan = withId(planned.plan, id, dataDir);
    const entry = entryFor(plan, id, deps);
    const { container } = entry;
    if (!(await openJournal(planned.paths, entry))) continue;
    try {
      await createPrivateDir(path.join(dataDir, container));
      return { plan, entry };
    } catch (error) {
      await closeJournal(planned.paths, container);
      if (!isErrno(error, 'EEXIST')) inWords(error);
    }
  }
};

const newRecord = (planned: PlannedLaunch, { plan, entry }: Claim, prepared: Prepared, now: Date): InstanceRecord => ({
  version: 2,
  instance_id: entry.instance_id,
  container: entry.container,
  network: entry.network,
  created_at: now.toISOString(),
  updated_at: now.toISOString(),
  workspace_name: plan.workspace.name,
  workdir: plan.workspace.workdir,
  role_key: plan.role.key,
  role_content: plan.role.content,
  agent: plan.agent.slug,
  agent_version: prepared.agentVolume.version,
  supported_agents: plan.role.agents,
  image_tag: prepared.image,
  agents_inside: Object.fromEntries([{ agent: plan.agent.slug, version: prepared.agentVolume.version }, ...prepared.otherAgents].map(({ agent, version }) => [agent, version])),
  made_for: madeFor(planned),
  status: 'running',
});

/** Takes back what a launch had made. When that fails as well, what went wrong first is still what a person must hear. */
const takeBack = async (undo: () => Promise<void>, error: unknown): Promise<unknown> => {
  try {
    await undo();
    return error;
  } catch (failure) {
    const known = error instanceof JackinError ? error : undefined;
    const code = known === undefined || known.code === 'interrupted' ? 'failed' : known.code;
    const message = `${messageOf(error)}\nwhat this launch had made is still there (${messageOf(failure)}); the next \`jackin status\` takes it back`;
    return new JackinError(code, message, { ...(known?.hint === undefined ? {} : { hint: known.hint }), cause: error });
  }
};

/**
 * Executes a plan: image and volumes, state, network, container, session. Until
 * the session runs, anything that goes wrong (Ctrl-C included) takes back what was
 * made; what a killed process leaves is taken back by the next command. With the
 * `record` of an instance whose container is gone, that instance is brought back,
 * and its state is never taken back.
 */
export const executePlan = async (planned: PlannedLaunch, ui: Ui, deps: Deps, record?: InstanceRecord): Promise<Executed> => {
  const { paths, config } = planned;
  const values = await readValues(config, deps, ui.say);
  const engine = await deps.connectEngine(deps.env);
  const homeId = await ensureHomeId(paths);
  for (const container of await recoverJournal(engine, paths, homeId)) ui.say(`cleaned up ${container}: its launch had been killed`);
  const claim = await (record === undefined ? claimInstance(planned, deps) : claimAgain(planned, record, deps));
  const { plan, entry } = claim;
  const pulling: PullWorld = { paths, deps, say: ui.say };
  let standing = false;
  let created = false;
  let prepared: Prepared;
  let hold: LeaseHold | undefined;
  const commit = async (): Promise<void> => {
    standing = true;
    // The agent works already: a full disk here is told, and stops neither it nor the journal, which would let the next command undo it.
    const told = tellTrouble(`${entry.instance_id} runs, but cannot be recorded`, ui);
    const written = newRecord(planned, claim, prepared, deps.now());
    await writeRecord(paths.dataDir, record === undefined ? written : { ...written, created_at: record.created_at }).catch(told);
    await closeJournal(paths, entry.container).catch(told);
    await rememberRole(paths, plan, ui.say);
    await hold?.started();
  };
  const placeLogins = async (): Promise<void> => {
    hold = await holdLease(plan, entry.container, deps, ui.say);
    await fillState(path.join(paths.dataDir, entry.container), plan, await readHandedOver(plan, hold.read, deps, ui.say));
  };
  try {
    const making = together(
      prepareEngine(deps, paths, engine, wantedBy(plan), ui.report),
      makeNetwork(engine, plan, homeId, deps),
      placeLogins(),
    );
    const [[ready], arrived] = await together(making, fetchWhile(making, plan, pulling));
    prepared = ready;
    deps.signal.throwIfAborted();
    await tellAge(engine, paths, plan, prepared, ui, deps);
    await startContainer(engine, plan, prepared, homeId, () => (created = true));
    await bringInPulls(arrived, { engine, container: entry.container }, pulling);
    deps.signal.throwIfAborted();
    const opening = { kind: 'launch', request: requestFor(plan, values, ui) } as const;
    const run = { engine, container: entry.container, instance: entry.instance_id, agent: plan.agent.slug, kind: plan.session.kind, opening, started: commit };
    const remedy = () => (standing ? remedyFor(entry.instance_id) : TRY_AGAIN);
    const end = await runSession({ ...run, remedy }, ui, deps);
    await recordEnd(paths.dataDir, entry.container, end, deps.now()).catch(tellTrouble('how the session ended cannot be recorded', ui));
    return { instanceId: entry.instance_id, container: entry.container, network: entry.network, agentVersion: prepared.agentVolume.version, end };
  } catch (error) {
    if (standing) throw error;
    const explained = created ? await withContext(engine, entry.container, error) : error;
    const told = await takeBack(() => undoLaunch(engine, paths, homeId, entry), explained);
    throw isInterrupt(told, deps.signal) ? new JackinError('interrupted', 'interrupted; what this launch had made is undone', { cause: told }) : told;
  } finally {
    hold?.release();
  }
};

/** Fetches new commits beside other work; a launch that fails does not wait for a server. */
const fetchWhile = async (work: Promise<unknown>, plan: LaunchPlan, world: PullWorld): Promise<Awaited<ReturnType<typeof fetchForPulls>>> => {
  const failed = new AbortController();
  work.catch(() => failed.abort());
  const signal = AbortSignal.any([world.deps.signal, failed.signal]);
  return await fetchForPulls(plan.pulls, { ...world, deps: { ...world.deps, signal } });
};

/** What is pinned is as old as it was meant to be. */
const tellAge = async (engine: Engine, paths: Paths, { agent }: LaunchPlan, { agentVolume }: Prepared, ui: Ui, deps: Deps): Promise<void> => {
  if (agent.version !== null || agent.packages !== null) return;
  const note = await agentAgeNote(engine, paths, { slug: agent.slug as AgentSlug, volume: agentVolume.name, version: agentVolume.version }, deps.now());
  if (note !== undefined) ui.say(note);
};

const fillState = (directory: string, plan: LaunchPlan, logins: HandedOver): Promise<void> =>
  fillInstanceDir(directory, plan, logins).catch(async (error: unknown) => {
    throw await stateError(directory, error);
  });

/** All at once, as with Promise.all, but to the end of each: what is still being made cannot be taken back yet. */
const together = async <T extends unknown[]>(...parts: { [K in keyof T]: Promise<T[K]> }): Promise<T> => {
  const results = await Promise.allSettled(parts);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as T;
};

const requestFor = (plan: LaunchPlan, values: Values, ui: Ui): LaunchRequest =>
  launchRequest(plan, values, plan.session.kind === 'attached' ? terminalSize(ui.terminal()) : DETACHED_SIZE);
