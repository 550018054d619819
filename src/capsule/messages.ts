import * as z from 'zod';

/**
 * Messages of the capsule to the host: the one source of each message, its type and its
 * check. The capsule imports only the types, since a schema library in its bundle would
 * cost memory in every container; the host checks with the schemas, because the capsule
 * shares its user id with the agent. What a person will read holds no control
 * characters, and is cut where it is longer than one will read.
 */
const line = z.string().transform((text) => text.slice(0, 2000).replaceAll(/\p{Cc}+/gu, ' '));
/** Of a session or an agent. */
const name = line.refine((text) => text.length <= 100);
const exitCode = z.int().min(0).max(255);

/** More than there can be: 32 that run, and eight that have ended. */
const MAX_SESSIONS = 100;

const sessionInfo = z.object({
  /** Short name, unique in the instance, such as `kimi-1`. */
  id: name,
  agent: name,
  /** `starting`: its home is being prepared, its program is not there yet. */
  state: z.enum(['starting', 'running', 'exited']),
  /** Exit code as a shell would give it: 128 + n for signal n. Only when exited. */
  code: exitCode.optional(),
  clients: z.int().min(0),
  io: z.enum(['pty', 'pipe']),
});
const sessions = z.array(sessionInfo).max(MAX_SESSIONS);

/** Outcome for one login when handoff and home were reconciled. */
const loginOutcome = z.object({
  slug: name,
  /**
   * `handoff`: the host's login was taken. `home`: the one in the container was kept.
   * `lease`: the home has the lease that is handed over. `same`: nothing to do. `none`: there is no login. `removed`: files that jackin
   * had placed are gone (mode left `sync`). `provider`: set up to read a key.
   */
  outcome: z.enum(['handoff', 'home', 'lease', 'same', 'none', 'removed', 'provider']),
  /** One line for a person: what was decided and why. Never a secret. */
  why: line,
});

/** By the name of their frame type. */
export const MESSAGES = {
  welcome: z.object({ protocol: z.number(), sessions }),
  ready: z.object({
    logins: z.array(loginOutcome).max(100),
    /** Outcome for the GitHub login, one line for a person; missing when none is forwarded. */
    github: line.optional(),
  }),
  /** One line for a person. Never a secret. */
  note: z.object({ text: line }),
  started: sessionInfo,
  sessions: z.object({ sessions }),
  exited: z.object({
    id: name,
    /** As a shell would give it: 128 + n for signal n. */
    code: exitCode,
    /** Name of the signal that ended it, such as `SIGKILL`. */
    signal: name.optional(),
    /** Sessions of the instance that still run; with none the container ends. */
    left: z.int().min(0),
  }),
  failed: z.object({
    /** `setup`: the home could not be prepared. `agent-missing`, `program-missing`: an agent's program, or a shell or another one, is not there. */
    code: z.enum(['protocol', 'setup', 'agent-missing', 'program-missing', 'no-session', 'busy']),
    // A hook of the role that fails shows the end of its output, over several lines.
    message: z.string().transform((text) => text.slice(0, 10_000).replaceAll(/[^\P{Cc}\n]+/gu, ' ')),
  }),
};

export type MessageName = keyof typeof MESSAGES;
export type Message<N extends MessageName> = z.output<(typeof MESSAGES)[N]>;
