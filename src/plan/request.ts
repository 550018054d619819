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
  /** Refuse a login that is dead, expired or not there. */
  strictAuth: boolean;
}

export type SessionMode = { kind: 'attached' } | { kind: 'detached' } | { kind: 'prompt'; text: string };

export type RoleSelector = { kind: 'name'; key: string } | { kind: 'folder'; path: string };

/** A saved workspace, an absolute directory, or wherever the operator stands: the workspace saved for it, else the directory itself. */
export type Target = { kind: 'workspace'; name: string } | { kind: 'directory'; path: string } | { kind: 'current'; path: string };
