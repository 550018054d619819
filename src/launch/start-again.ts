import type { AgentSlug } from '../agents/agents.ts';
import type { SessionInfo } from '../capsule/protocol.ts';
import type { SessionEnd } from '../docker/attach.ts';
import { type Instance, stateOf } from '../instances/find.ts';
import type { InstanceRecord } from '../instances/record.ts';
import { JackinError } from '../shared/errors.ts';
import { announcement } from './announce.ts';
import type { Deps } from './deps.ts';
import type { HardlineRequest, Opened } from './hardline.ts';
import { launch, planLoad, type Ui, withAnswers } from './load.ts';
import { openAgentSession, type Standing } from './open-session.ts';
import type { Choose } from './place.ts';
import { replayRequest } from './replay.ts';

const recordOf = ({ record, id, container }: Instance): InstanceRecord => {
  if (record !== undefined) return record;
  throw new JackinError('conflict', `the state of ${container} is gone: it cannot be started again, and no agent can join it`, {
    hint: `\`jackin eject ${id}\` removes what is left of it; start anew with \`jackin load\``,
  });
};

const howItEnded = ({ engine }: Instance): string => {
  if (engine?.oomKilled) return 'it was ended because it had used up the memory';
  return engine?.exitCode === undefined ? 'it was stopped' : `it had ended with code ${engine.exitCode}`;
};

/** Starts the agent of an instance, or another one in it, from whatever state the instance is in. */
export const startAgent = async (opened: Opened, sessions: SessionInfo[], { doing, session }: HardlineRequest, ui: Ui, choose: Choose, deps: Deps): Promise<SessionEnd> => {
  const { engine, instance } = opened;
  const record = recordOf(instance);
  const other = doing.kind === 'agent' ? doing : undefined;
  const request = replayRequest(record, {
    agent: other === undefined ? (record.agent as AgentSlug) : other.agent,
    session: session.kind === 'piped' ? { kind: 'attached' } : session,
    // What was meant for the agent that it was made for means nothing to another one.
    agentArguments: other?.agentArguments,
  });
  const planned = await planLoad(request, deps, { ...ui, choose });
  for (const line of announcement(planned.plan)) ui.say(line);
  const state = stateOf(instance);
  if (state === 'ejected') {
    ui.say(`instance   ${instance.id}: its container is made anew from its state`);
    return (await launch(planned, ui, deps, record)).end;
  }
  const standing: Standing['state'] = state === 'exited' ? 'stopped' : sessions.length === 0 ? 'idle' : 'busy';
  if (standing === 'stopped') ui.say(`instance   ${instance.id}: ${howItEnded(instance)}; it is started again`);
  if (standing === 'idle') ui.say(`instance   ${instance.id}: its container was started without jackin; its agent is started again`);
  return openAgentSession({ engine, record, state: standing }, await withAnswers(planned, ui), ui, deps);
};
