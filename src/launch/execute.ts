import path from 'node:path';
import { readEntries } from '../auth/env-values.ts';
import type { LaunchRequest, SetupReport } from '../capsule/protocol.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { launchAttached, launchDetached, launchPiped, type SessionEnd } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import { terminalSize } from '../docker/terminal.ts';
import { ensureHomeId } from '../instances/home-id.ts';
import { type JournalEntry, recoverJournal, undoLaunch, openJournal, closeJournal } from '../instances/journal.ts';
import { type InstanceRecord, updateStatus, writeRecord } from '../instances/record.ts';
import { usedEntries } from '../plan/auth.ts';
import { githubEntries } from '../plan/github.ts';
import { instanceId } from '../plan/names.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { asDiskError, createPrivateDir, ensureDir } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { currentOwner } from '../shared/owner.ts';
import { envSummary } from './announce.ts';
import { connectCapsule } from './connect-capsule.ts';
import { launchRequest, readHandedOver, type Values } from './deliver.ts';
import type { Deps } from './deps.ts';
import { pullRepositories } from './git-pull.ts';
import { fillInstanceDir, type HandedOver } from './instance-dir.ts';
import { makeNetwork, startContainer, withId } from './instantiate.ts';
import type { PlannedLaunch, Ui } from './load.ts';
import { type Prepared, prepareEngine, wantedBy } from './prepare.ts';
import { rememberRole } from './remember-role.ts';
import { withContext } from './report-failure.ts';

export interface Executed {
  instanceId: string;
  container: string;
  network: string;
  agentVersion: string;
  end: SessionEnd;
}

/** Values of all variables that reach a session, read at once: one error names all that fail, and nothing is asked for in vain. */
const readValues = async (config: ResolvedConfig, deps: Deps, ui: Ui): Promise<Values> => {
  const env = usedEntries(config);
  const github = githubEntries(config);
  const values = await readEntries([...env, ...github], deps.env, deps.signal);
  const summary = envSummary([...env, ...github].map(({ source }) => source.kind), 'resolved');
  if (summary !== undefined) ui.say(summary);
  const named = (entries: EnvEntry[], from: number): Values['env'] => new Map(entries.map(({ name }, index) => [name, values[from + index]!]));
  return { env: named(env, 0), github: named(github, env.length) };
};

/** Draws ids until one is free: the directory of the instance is the claim. */
const claimInstance = async (planned: PlannedLaunch, deps: Deps): Promise<{ plan: LaunchPlan; entry: JournalEntry }> => {
  const { dataDir } = planned.paths;
  const inWords = (error: unknown): never => {
    throw asDiskError(error, `making a state directory in ${dataDir}`);
  };
  await ensureDir(dataDir).catch(inWords);
  for (;;) {
    const id = instanceId(deps.randomBytes(8));
    const plan = withId(planned.plan, id, dataDir);
    const container = plan.container.name;
    const entry: JournalEntry = {
      version: 1,
      owner: currentOwner(),
      at: deps.now().toISOString(),
      instance_id: id,
      container,
      network: plan.container.networks[0]!,
    };
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

const newRecord = (plan: LaunchPlan, entry: JournalEntry, prepared: Prepared, now: Date): InstanceRecord => ({
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
  status: 'running',
});

interface Running {
  engine: Engine;
  entry: JournalEntry;
  prepared: Prepared;
  /** The instance stands: from here on it is kept, whatever happens. */
  commit: () => Promise<void>;
}

/** Talks to the capsule: the first frame, then the session as the plan wants it. */
const runSession = async (plan: LaunchPlan, request: LaunchRequest, running: Running, ui: Ui, deps: Deps): Promise<SessionEnd> => {
  const stream = await connectCapsule(running.engine, running.entry.container);
  const commits: Promise<void>[] = [];
  const options = {
    signal: deps.signal,
    onReady: (report: SetupReport) => {
      for (const { slug, why } of report.logins) if (slug === plan.agent.slug) ui.say(`login      in the container: ${why}`);
      if (report.github !== undefined) ui.say(`github     in the container: ${report.github}`);
    },
    onStarted: () => {
      commits.push(running.commit());
    },
  };
  const run = (): Promise<SessionEnd> => {
    switch (plan.session.kind) {
      case 'detached':
        return launchDetached(stream, request, options);
      case 'prompt':
        return launchPiped(stream, request, { stdin: undefined, stdout: ui.promptOutput as never, stderr: deps.stderr, signals: deps.signals }, options);
      case 'attached':
        return launchAttached(stream, request, { terminal: ui.terminal(), signals: deps.signals }, options);
      default:
        return plan.session.kind satisfies never;
    }
  };
  const end = await run();
  await Promise.all(commits);
  return end;
};

const recordEnd = async (planned: PlannedLaunch, entry: JournalEntry, end: SessionEnd, now: Date): Promise<void> => {
  if (end.kind !== 'exited') return;
  await updateStatus(planned.paths.dataDir, entry.container, end.code === 0 ? 'clean_exited' : 'crashed', now);
};

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
 * made; what a killed process leaves is taken back by the next command.
 */
export const executePlan = async (planned: PlannedLaunch, ui: Ui, deps: Deps): Promise<Executed> => {
  const { paths, config } = planned;
  const values = await readValues(config, deps, ui);
  const engine = await deps.connectEngine(deps.env);
  const homeId = await ensureHomeId(paths);
  for (const container of await recoverJournal(engine, paths, homeId)) ui.say(`cleaned up ${container}: its launch had been killed`);
  for (const { repository, said } of await pullRepositories(planned.plan.git_pull, deps)) ui.say(`git        ${repository}: ${said}`);
  const { plan, entry } = await claimInstance(planned, deps);
  let standing = false;
  let prepared: Prepared;
  const commit = async (): Promise<void> => {
    standing = true;
    // The agent works already: a full disk here is told, and stops neither it nor the journal, which would let the next command undo it.
    const told = tellTrouble(`${entry.instance_id} runs, but cannot be recorded`, ui);
    await writeRecord(paths.dataDir, newRecord(plan, entry, prepared, deps.now())).catch(told);
    await closeJournal(paths, entry.container).catch(told);
    await rememberRole(paths, plan, ui.say);
  };
  try {
    [prepared] = await together(
      prepareEngine(deps, paths, engine, wantedBy(plan), ui.report),
      makeNetwork(engine, plan, homeId, deps),
      readHandedOver(plan, deps, ui.say).then((logins) => fillState(path.join(paths.dataDir, entry.container), plan, logins)),
    );
    deps.signal.throwIfAborted();
    await startContainer(engine, plan, prepared, homeId);
    deps.signal.throwIfAborted();
    const end = await runSession(plan, requestFor(plan, values, ui), { engine, entry, prepared, commit }, ui, deps);
    if (end.kind === 'lost' && !standing) throw new JackinError('failed', `the container did not start: ${end.why}`);
    await recordEnd(planned, entry, end, deps.now()).catch(tellTrouble('how the session ended cannot be recorded', ui));
    return { instanceId: entry.instance_id, container: entry.container, network: entry.network, agentVersion: prepared.agentVolume.version, end };
  } catch (error) {
    if (standing) throw error;
    const explained = await withContext(engine, entry.container, error);
    throw await takeBack(() => undoLaunch(engine, paths, homeId, entry), explained);
  }
};

const fillState = (directory: string, plan: LaunchPlan, logins: HandedOver): Promise<void> =>
  fillInstanceDir(directory, plan, logins).catch((error: unknown) => {
    throw asDiskError(error, `writing the state of the instance in ${directory}`);
  });

/** For what must not end a session that runs. */
const tellTrouble =
  (what: string, ui: Ui) =>
  (error: unknown): void =>
    ui.say(`note       ${what}: ${messageOf(error)}`);

/** All at once, as with Promise.all, but to the end of each: what is still being made cannot be taken back yet. */
const together = async <T extends unknown[]>(...parts: { [K in keyof T]: Promise<T[K]> }): Promise<T> => {
  const results = await Promise.allSettled(parts);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as T;
};

const requestFor = (plan: LaunchPlan, values: Values, ui: Ui): LaunchRequest =>
  launchRequest(plan, values, plan.session.kind === 'attached' ? terminalSize(ui.terminal()) : DETACHED_SIZE);

/** A screen for a session that nobody looks at yet; the first one who attaches gives it theirs. */
const DETACHED_SIZE = { cols: 120, rows: 40 };
