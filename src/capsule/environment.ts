import { AGENTS, isAgentSlug } from '../agents/agents.ts';
import type { SessionRequest } from './protocol.ts';

/** What an image could set to make every program load code of its own, the agent first of all. */
const LOADER_TRICKS = /^(NODE_OPTIONS|NODE_EXTRA_.*|LD_.*)$/;

/** Variables from the host: `env` for all sessions of the instance, `keys` for one. Held in memory only. */
export type HostEnvironment = Pick<SessionRequest, 'env' | 'keys'>;

/** Keys of the session's agent, under the names by which it uses them without asking. */
const keysOf = ({ keys }: HostEnvironment, { agent, io }: Pick<SessionRequest, 'agent' | 'io'>): Record<string, string> => {
  const own = Object.hasOwn(keys, agent) ? keys[agent]! : {};
  const aliases = io === 'pty' && isAgentSlug(agent) ? (AGENTS[agent].runtime.keyAliases ?? {}) : {};
  return Object.fromEntries(Object.entries(own).map(([name, value]) => [aliases[name] ?? name, value]));
};

/**
 * The environment of one session: the container's, what the host sent for every
 * session, and the keys of this session's own agent, never another's.
 */
export const sessionEnvironment = (
  container: NodeJS.ProcessEnv,
  host: HostEnvironment,
  session: Pick<SessionRequest, 'agent' | 'cwd' | 'io'> & { id: string },
  home: string,
): Record<string, string> => {
  const inherited = Object.entries(container).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !LOADER_TRICKS.test(entry[0]),
  );
  return {
    LANG: 'C.UTF-8',
    ...Object.fromEntries(inherited),
    ...host.env,
    ...keysOf(host, session),
    ...(session.io === 'pty' ? { TERM: 'xterm-256color', COLORTERM: 'truecolor' } : {}),
    ...(isAgentSlug(session.agent) ? { JACKIN_AGENT: session.agent } : {}),
    JACKIN_SESSION_ID: session.id,
    HOME: home,
    PWD: session.cwd,
  };
};
