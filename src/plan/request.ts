import type { AgentSlug } from '../agents/agents.ts';

/** A `load` as it was asked for: argv, directory and terminal, parsed once. */
export interface LoadRequest {
  /** Undefined: the workspace's default role. */
  role: RoleSelector | undefined;
  target: Target;
  agent: AgentSlug | undefined;
  /** Mounts of the command line, sources absolute. */
  mounts: { source: string; target: string; readonly: boolean }[];
  /** Existing engine networks to join as well. */
  networks: string[];
  session: SessionMode;
  /** What stood after `--`. */
  agentArguments: string[];
  /** Sensitive mounts that were agreed to on the command line, absolute. */
  allowedMounts: string[];
  /** Account of the login of jackin's own that Kimi is to use, whatever the configuration says. */
  login: string | undefined;
  /** Refuse a login that is dead, expired or not there. */
  strictAuth: boolean;
  /** Variables of the command line; values as in an `[env]` table. */
  env: { name: string; value: string }[];
  roleHandling: RoleHandling;
  /** Build the role's image although it is there. */
  rebuild: boolean;
  /** Refuse what differs from the role's jackin.lock. */
  locked: boolean;
}

export type SessionMode = { kind: 'attached' } | { kind: 'detached' } | { kind: 'prompt'; text: string };

/** `branch`: of the role's repository, instead of its default one. */
export type RoleSelector = { kind: 'name'; key: string; branch?: string } | { kind: 'folder'; path: string };

/** `cached`: what is here, cloned when nothing is. `try`: newer if the source answers. `fetch`: newer or an error. `replace`: all anew, whatever is here. */
export type RoleFreshness = 'cached' | 'try' | 'fetch' | 'replace';

/** How a role is brought here, where it comes by git. */
export interface RoleHandling {
  freshness: RoleFreshness;
  /** A commit that is agreed to beforehand, whole. */
  trust: string | undefined;
  /** Whether a "no" to a role that is not trusted is the end of it. */
  refusalEnds: boolean;
  /** Whether its jackin.lock has a say in which commit is used. */
  pinned: boolean;
}

/** For a role that is used as it is here. */
export const AS_CACHED: RoleHandling = { freshness: 'cached', trust: undefined, refusalEnds: true, pinned: true };

/** A saved workspace, an absolute directory, or wherever the operator stands: the workspace saved for it, else the directory itself. */
export type Target = { kind: 'workspace'; name: string } | { kind: 'directory'; path: string } | { kind: 'current'; path: string };
