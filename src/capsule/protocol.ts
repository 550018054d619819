import type { Message } from './messages.ts';

/**
 * What the host and the capsule say to each other, over the stdin and stdout of
 * one exec (host side) and the Unix socket `/jackin/run/capsule.sock` (inside).
 *
 * A frame is one byte of type, four bytes of payload length (big endian), and
 * the payload: JSON for control frames, raw bytes for data frames.
 */
export const PROTOCOL_VERSION = 2;

/** A larger frame is refused; bulk data is sent as many frames. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;

export const FrameType = {
  /** host → capsule, JSON {@link LaunchRequest}: set the home up, then start the first session. */
  launch: 0x01,
  /** host → capsule, JSON {@link AttachRequest}: join a session that runs. */
  attach: 0x02,
  /** host → capsule, bytes for the session's input. */
  input: 0x03,
  /** host → capsule, JSON {@link TerminalSize}. */
  resize: 0x04,
  /** host → capsule, empty: end of the session's input (pipes only). */
  inputEnd: 0x05,
  /** host → capsule, JSON {@link SignalRequest}: for the session's process group. */
  signal: 0x06,
  /** host → capsule, empty: leave; the session lives on. */
  detach: 0x07,
  /** host → capsule, empty: ask for `sessions`. */
  list: 0x08,
  /** host → capsule, JSON {@link SpawnRequest}: start one more session beside those that run. */
  spawn: 0x09,
  /** host → capsule, empty: `sessions` now, and whenever a session starts, ends, or is joined or left. */
  watch: 0x0a,
  /** host → capsule, JSON {@link KillRequest}: end a session, first politely; this connection need not be attached to it. */
  kill: 0x0b,
  /** capsule → host, JSON of `welcome`: always the first frame. */
  welcome: 0x81,
  /** capsule → host, JSON of `ready`: the home is ready. */
  ready: 0x82,
  /** capsule → host, JSON of `started`: the session runs, and this connection is attached to it. */
  started: 0x83,
  /** capsule → host, bytes of the terminal, or of stdout when the session runs on pipes. */
  output: 0x84,
  /** capsule → host, bytes of stderr (pipes only). */
  errorOutput: 0x85,
  /** capsule → host, JSON of `exited`. */
  exited: 0x86,
  /** capsule → host, JSON of `failed`: the request was refused; the connection ends. */
  failed: 0x87,
  /** capsule → host, JSON of `sessions`. */
  sessions: 0x88,
  /** capsule → host, JSON of `note`: what setting up is doing, where that may take long. */
  note: 0x89,
} as const;

export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export interface TerminalSize {
  cols: number;
  rows: number;
}

/** How one agent's login gets into the home of the container. */
export interface AgentSetup {
  slug: string;
  mode: 'sync' | 'api_key' | 'oauth_token' | 'ignore';
  /** What is handed over is a lease: it wins over whatever the home has, and so does each newer one while sessions run. */
  leased?: true;
  /** Only with `api_key`, for agents that need a provider entry: where the key is good for. Never the key. */
  provider?: { baseUrl: string; model: string; contextSize: number };
}

/** How git and gh are set up for every session. Never a secret. */
export interface GitSetup {
  github: {
    mode: 'sync' | 'token' | 'ignore';
    /** A GitHub of one's own, besides github.com. */
    host?: string;
  };
  /** The operator, as git calls them. */
  identity?: { name?: string; email?: string };
  /** What is added to the messages of commits that are made in the container. */
  trailers?: { coauthor: boolean; dco: boolean };
}

/** Programs of the role that run before an agent starts, in this order. */
export type HookName = 'setup_once' | 'source' | 'preflight';

export interface SetupRequest {
  /** Container path in which sessions start; the agents are told to trust it. */
  workdir: string;
  /** Every agent that the role supports, not only the one that is launched. */
  agents: AgentSetup[];
  git: GitSetup;
  /** Hooks that the role brings; they lie in the image. */
  hooks: HookName[];
}

export interface SessionRequest {
  /** Slug of the agent. */
  agent: string;
  /** Program and arguments. Never holds a secret. */
  argv: string[];
  cwd: string;
  /** `pty`: a terminal. `pipe`: stdout and stderr byte for byte. */
  io: 'pty' | 'pipe';
  /** Needed with `pty`. */
  size?: TerminalSize;
  /** Environment for every session of the instance. May hold secrets: memory only. */
  env: Record<string, string>;
  /** Keys of the agent that is started, by its slug: for this session alone, and forgotten once it has them. */
  keys: Record<string, Record<string, string>>;
}

export interface LaunchRequest {
  setup: SetupRequest;
  session: SessionRequest;
  /** The host leaves right after `started`. */
  detached: boolean;
}

/** `agent` of a session that is no agent but a shell beside them. */
export const SHELL = 'shell';

export interface SpawnRequest {
  /** For a shell `agent` is {@link SHELL}, and an empty `argv` the best shell that the container has. */
  session: Omit<SessionRequest, 'env' | 'keys'>;
  detached: boolean;
  /**
   * What the host has read anew for this session: its agent's login is reconciled,
   * and the environment takes the place of the one that the instance had. Without
   * it nothing is set up, and the session gets the environment of the others and no keys.
   */
  fresh?: { setup: SetupRequest } & Pick<SessionRequest, 'env' | 'keys'>;
}

/**
 * Joins a session; a connection that is attached already changes over to it and
 * is told `started` and the other screen, with no `exited` between them.
 */
export interface AttachRequest {
  /** Without it: the session that the launch started, or when it has ended the newest one that runs. */
  session?: string;
  size: TerminalSize;
}

export interface KillRequest {
  session: string;
}

export interface SignalRequest {
  signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGKILL';
}

/** Types only: the capsule's bundle carries no schemas. */
export type Welcome = Message<'welcome'>;
export type SessionList = Message<'sessions'>;
export type SessionInfo = Message<'started'>;
export type SetupReport = Message<'ready'>;
export type LoginOutcome = SetupReport['logins'][number];
export type CapsuleFailure = Message<'failed'>;
export type SessionExit = Message<'exited'>;
/** How a program ended. */
export type ProgramExit = Pick<SessionExit, 'code' | 'signal'>;

/** The first line that the pulling program says: commits that the repository has, newest first. */
export interface PullOffer {
  haves: string[];
}

/** The last line that the pulling program says. */
export interface PullReport {
  outcome: 'updated' | 'same' | 'not';
  /** Number of commits that came. */
  commits: number;
  /** One clause about why nothing changed; with `not` only. */
  why?: string;
}
