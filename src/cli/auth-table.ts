import { describeOrigin } from '../config/layers.ts';
import type { AgentCell } from '../launch/auth-status-cell.ts';
import type { InstanceCell, InstanceStatus } from '../launch/auth-status-instances.ts';
import type { AuthState, Decider, KeyStatus } from '../launch/auth-status-key.ts';
import type { AuthStatus, ContextStatus } from '../launch/auth-status.ts';
import { table } from './output.ts';

/** The status for a person: who is logged in where, who decided it, and what to know about it. */

const MAX_NAMES = 10;

const decidedBy = ({ layer, file, line }: Decider): string =>
  describeOrigin({ layer, ...(file !== null && { file }), ...(line !== null && { line }) });

const clock = (iso: string): string => iso.replace(/:\d\d(\.\d+)?Z$/, 'Z').replace('T', ' ');

/** How long the access lasts, to the minute. */
const validity = ({ state, expires_at: end }: { state: AuthState; expires_at: string | null }, now: Date): string => {
  if (end === null) return '-';
  if (new Date(end) > now) return `until ${clock(end)}`;
  return state === 'expired' ? `ended ${clock(end)}, can be refreshed` : `ended ${clock(end)}`;
};

const keySource = ({ key }: { key: KeyStatus | null }): string => {
  if (key === null) return '-';
  return key.decided_by === null ? key.name : `${key.name}, by ${decidedBy(key.decided_by)}`;
};

const loginSource = (cell: AgentCell): string => {
  if (cell.own_login !== null) return `login ${cell.own_login.account}, by ${decidedBy(cell.own_login.decided_by)}`;
  if (cell.source_dir === null) return keySource(cell);
  return cell.source_dir_decided_by === null ? cell.source_dir : `${cell.source_dir}, by ${decidedBy(cell.source_dir_decided_by)}`;
};

/** What a context is called: its role is said where it is not the one that a load there takes anyway. */
const nameOf = ({ workspace, role }: ContextStatus, isFirst: boolean): string => {
  const name = workspace ?? 'any directory';
  return role === null || (isFirst && workspace !== null) ? name : `${name} × ${role}`;
};

const HEADER = ['WHERE', 'AGENT', 'MODE', 'STATE', 'ACCOUNT', 'VALID', 'DECIDED BY', 'FROM'];

const rowsOf = (name: string, { agents, github }: ContextStatus, now: Date): string[][] => {
  const rows = agents.map((cell) => [cell.agent, cell.mode, cell.state, cell.account ?? '-', validity(cell, now), decidedBy(cell.decided_by), loginSource(cell)]);
  if (github !== null) rows.push(['github', github.mode, github.state, github.account ?? '-', '-', decidedBy(github.decided_by), github.source_dir ?? keySource(github)]);
  return rows.map((row, index) => [index === 0 ? name : '', ...row]);
};

const sumUp = (names: string[]): string => {
  const shown = names.length > MAX_NAMES ? `${names.slice(0, MAX_NAMES).join(', ')} and ${names.length - MAX_NAMES} more` : names.join(', ');
  return `${names.length} ${names.length === 1 ? 'workspace' : 'workspaces'} as above: ${shown}`;
};

interface Named {
  name: string;
  context: ContextStatus;
}

const named = (contexts: ContextStatus[]): Named[] =>
  contexts.map((context, index) => ({ name: nameOf(context, contexts[index - 1]?.workspace !== context.workspace), context }));

const contextLines = (contexts: ContextStatus[], now: Date): string[] => {
  const [first, ...rest] = named(contexts);
  if (first === undefined) return [];
  const cells = ({ agents, github }: ContextStatus): string => JSON.stringify([agents, github]);
  const isAbove = ({ context }: Named): boolean => cells(context) === cells(first.context);
  const above = rest.filter(isAbove);
  const shown = [first, ...rest.filter((one) => !isAbove(one))].map(({ name, context }) => rowsOf(name, context, now));
  // One table, so that the columns stand below each other; the summary follows what it refers to.
  const [header, ...lines] = table([HEADER, ...shown.flat()]).split('\n');
  const length = shown[0]!.length;
  return [header!, ...lines.slice(0, length), ...(above.length === 0 ? [] : [sumUp(above.map(({ name }) => name))]), ...lines.slice(length)];
};

const SAYS_WHY: readonly AuthState[] = ['expired', 'dead', 'absent', 'unreadable', 'wrong account', 'key missing', 'unknown'];

/** Why a login or a key does not simply work; what several contexts have in common is said once. */
const whyLines = (contexts: ContextStatus[]): string[] => {
  const cells = contexts.flatMap(({ agents, github }) => [...agents, ...(github === null ? [] : [{ ...github, agent: 'github' }])]);
  const isNoted = ({ state, key }: { state: AuthState; key: KeyStatus | null }): boolean => SAYS_WHY.includes(state) || key?.from === 'op';
  return [...new Set(cells.filter(isNoted).map(({ agent, why }) => `${agent}: ${why}`))];
};

/** One line for each of jackin's own logins, and one for whatever is going to go wrong. */
const chainLines = ({ chains, keeper }: AuthStatus, now: Date): string[] => {
  const running = keeper === null ? 'the keeper does not run' : `the keeper runs (pid ${keeper.pid})`;
  const kept = chains
    .filter(({ owner }) => owner === 'keeper')
    .map(({ agent, login, account, holders, expires_at: end, refreshed_at: at }) => {
      const facts = [
        ...(account === null ? [] : [account]),
        ...(end === null ? [] : [`access ${new Date(end) > now ? 'until' : 'ended'} ${clock(end)}`]),
        at === null ? 'not renewed yet' : `renewed ${clock(at)}`,
        holders.length === 0 ? 'no container has a lease' : `leases: ${holders.join(', ')}`,
      ];
      return `login ${agent}:${login}: ${facts.join(', ')}; ${running}`;
    });
  return [...kept, ...chains.flatMap(({ agent, warning }) => (warning === null ? [] : [`${agent}: ${warning}`]))];
};

const FORKED =
  'forked: host and container no longer have the same login. Where it rotates, whichever refreshes second is logged out; ' +
  '`jackin eject`, then a new load, takes that of the host again.';

const ownerOf = ({ owner, login }: InstanceCell): string => (login === null ? (owner ?? '-') : `keeper, login ${login}`);

const instanceRow = (cell: InstanceCell, now: Date): string[] => [
  cell.agent, cell.mode, cell.state, cell.account ?? '-', validity(cell, now), cell.drift ?? '-', ownerOf(cell),
]; // prettier-ignore

const instanceLines = ({ instances, instances_note: note }: AuthStatus, now: Date): string[] => {
  const place = ({ role, workspace }: InstanceStatus): string => (workspace === null ? role : `${workspace} × ${role}`);
  const rows = instances.flatMap((instance) => {
    const start = [instance.instance_id, place(instance)];
    const logins = instance.agents.map((cell) => instanceRow(cell, now));
    if (instance.github !== null) logins.push(['github', instance.github.mode, instance.github.state, instance.github.account ?? '-', '-', '-', '-']);
    if (logins.length === 0) logins.push(['no login', '-', '-', '-', '-', '-', '-']);
    return logins.map((cells, index) => [...(index === 0 ? start : ['', '']), ...cells]);
  });
  const cells = instances.flatMap(({ agents }) => agents);
  const broken = cells.filter(({ state }) => state === 'unreadable').map(({ agent, why }) => `${agent}: ${why}`);
  return [
    ...(rows.length === 0 ? [] : ['', table([['INSTANCE', 'WHERE', 'AGENT', 'MODE', 'STATE', 'ACCOUNT', 'VALID', 'AGAINST THE HOST', 'KEPT BY'], ...rows])]),
    ...broken,
    ...(cells.some(({ drift }) => drift === 'forked') ? [FORKED] : []),
    ...(note === null ? [] : ['', note]),
  ];
};

/** Every line of the result, tables included. Names and paths may hold anything but line breaks. */
export const authStatusText = (status: AuthStatus, now: Date): string => {
  const oneLine = (line: string): string => line.replaceAll(/\p{Cc}/gu, '\ufffd');
  const whys = whyLines(status.contexts).map(oneLine);
  const chains = chainLines(status, now).map(oneLine);
  const section = (lines: string[]): string[] => (lines.length === 0 ? [] : ['', ...lines]);
  return [...contextLines(status.contexts, now), ...section(whys), ...instanceLines(status, now), ...section(chains)].join('\n');
};
