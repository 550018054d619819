import type { Deps } from '../launch/deps.ts';
import { type Format, printResult, table } from './output.ts';

/** Prints what is known of an instance and of its sessions. Works in every state. */
export const inspectInstance = async (selector: string | undefined, format: Format, deps: Deps): Promise<number> => {
  const { openInstances } = await import('../launch/open-instances.ts');
  const { sessionsOf } = await import('../launch/attach.ts');
  const { selectOne } = await import('../launch/hardline.ts');
  const { stateOf } = await import('../instances/find.ts');
  const { engine, instances } = await openInstances(deps);
  const instance = selectOne(instances, selector);
  const { id, container, role, workspace, record, engine: info, network } = instance;
  const state = stateOf(instance);
  const sessions = state === 'running' ? await sessionsOf(engine, instance, deps) : [];
  const data = {
    instance_id: id,
    container,
    role,
    workspace,
    workdir: record?.workdir ?? null,
    state,
    exit_code: info?.exitCode ?? null,
    oom_killed: info?.oomKilled ?? null,
    agent: record?.agent ?? null,
    agents_inside: record?.agents_inside ?? {},
    image: info?.image ?? record?.image_tag ?? null,
    network: network ?? null,
    created_at: record?.created_at ?? null,
    sessions: sessions.map(({ id: name, agent, state: how, code, clients, io }) => ({ name, agent, state: how, exit_code: code ?? null, clients, io })),
  };
  printResult(deps, format, data, () => {
    const facts = [
      ['instance', `${id} (${container})`],
      ['role', role],
      ...(workspace === null ? [] : [['workspace', workspace]]),
      ['workdir', data.workdir ?? '-'],
      ['state', state === 'exited' ? `exited (${info?.oomKilled ? 'out of memory' : (info?.exitCode ?? '-')})` : state],
      ['agents', Object.entries(data.agents_inside).map(([slug, version]) => `${slug} ${version}`).join(', ') || (data.agent ?? '-')],
      ['image', data.image ?? '-'],
      ['created', data.created_at ?? '-'],
    ];
    const rows = data.sessions.map((one) => [one.name, one.state === 'exited' ? `exited (${one.exit_code})` : one.state, String(one.clients), one.io]);
    const list = rows.length === 0 ? 'no sessions' : table([['SESSION', 'STATE', 'ATTACHED', 'ON'], ...rows]);
    return `${table(facts)}\n\n${list}`;
  });
  return 0;
};
