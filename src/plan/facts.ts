import type { AgentSlug } from '../agents/agents.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { LoginFacts, LoginState } from '../agents/login-facts.ts';
import type { RoleHook } from './hooks.ts';

/** What the plan must know of the world: looked at once, before it. Never the engine, never a secret. */
export interface Facts {
  role: RoleFacts;
  logins: Partial<Record<AgentSlug, LoginFacts>>;
  /** Accounts of the logins of jackin's own for Kimi; empty when none is asked for. */
  ownLogins?: string[];
  /** The host's login for GitHub; left out when none is copied. */
  github?: GithubLoginFacts;
  /** Who the operator is for git; left out when nobody is known. */
  identity?: { name?: string; email?: string };
  /** For each name that the environment layers take from the host: whether it is set there, and not empty. */
  hostEnv: Record<string, boolean>;
  mounts: MountFacts[];
  /** Mounted repositories that are to be pulled; left out when none is. */
  pulls?: PullFacts[];
  operator: UnixUser;
  /** The host directory behind the workdir: its owner; what is missing, or there but no directory; null where no mount holds the workdir. */
  workdir: { owner: UnixUser } | { missing: string } | { noDirectory: string } | null;
  paths: { jackinHome: string; configDir: string; dataDir: string; operatorHome: string };
  /** `role`: tag of the role's image; null when only the engine can tell, because the construct is an override. */
  image: { construct: string; constructIsOverride: boolean; role: string | null };
  now: string;
  /** The operator's, such as `Europe/Berlin`. */
  timeZone?: string;
}

/** `unknown`: only gh itself can tell, and is asked at the launch. */
export interface GithubLoginFacts {
  dir: string;
  state: LoginState;
  user?: string;
  /** One sentence for a person. */
  why: string;
}

export interface UnixUser {
  uid: number;
  gid: number;
}

export interface RoleFacts {
  key: string;
  name: string;
  source: RoleSource;
  trust: RoleTrust;
  /** SHA-256 over every file of the role. */
  contentHash: string;
  dockerfile: string;
  manifestFile: string;
  agents: AgentSlug[];
  models: Partial<Record<AgentSlug, string>>;
  /** Variables of its manifest. */
  env: EnvEntry[];
  /** What it runs before an agent starts, in this order. */
  hooks: RoleHook[];
  /** An image that its author has built of it, by the digest that its manifest names; null when there is none. */
  published: { reference: string; digest: string } | null;
  /** What it was pinned to; null when it is not. */
  lock: LockFacts | null;
  /** What a person should know about it. */
  notes: string[];
}

/** What a role's jackin.lock says. */
export interface LockFacts {
  file: string;
  commit: string | null;
  content: string;
  construct: string;
  agents: Partial<Record<AgentSlug, { version: string; packages: LockedPackage[] }>>;
}

/** A package of the npm registry, and the digest that it must have. */
export interface LockedPackage {
  name: string;
  version: string;
  integrity: string;
}

export type RoleSource =
  | { kind: 'built-in' | 'folder'; path: string }
  | { kind: 'git'; path: string; url: string; commit: string; branch: string | null };

/** `needed`: nothing of it may be built or run before the operator has agreed. */
export interface RoleTrust {
  state: 'built-in' | 'folder' | 'trusted' | 'needed';
  why: string;
}

/** A mounted repository: what it follows, as its own files say, and what the operator has agreed to. */
export interface PullFacts {
  /** The source of the mount, links resolved. */
  directory: string;
  /** Its path in the container. */
  target: string;
  /** Or why it is not pulled. */
  followed: { branch: string; remote: string; remoteBranch: string; address: string } | { why: string };
  /** The address that was agreed to. */
  agreed?: string;
}

export interface MountFacts {
  source: string;
  /** Where the source really is, links resolved; undefined when there is nothing. */
  real: string | undefined;
  kind: 'directory' | 'file' | 'socket' | 'other' | 'missing';
  /** Inside another mount: the host's path of its mount point, when there is nothing. The engine would make it, as root. */
  missingPoint?: string;
}
