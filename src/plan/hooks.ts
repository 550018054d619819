/** Programs of a role that run in the container before an agent starts, in this order. */
export const HOOK_NAMES = ['setup_once', 'source', 'preflight'] as const;

export interface RoleHook {
  name: (typeof HOOK_NAMES)[number];
  /** Path below the role's folder. */
  file: string;
}
