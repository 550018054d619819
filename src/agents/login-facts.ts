import type { AgentSlug } from './agents.ts';

/** How much life is left in a login. */
export type LoginState =
  /** Works now. */
  | 'live'
  /** The access token is over; the refresh token brings a new one. */
  | 'expired-refreshable'
  /** Empty, truncated, rejected by the server, or over without a way to refresh. */
  | 'dead'
  | 'absent'
  /** A form that jackin does not know: passed on as it is. */
  | 'unknown';

/**
 * What is known of an agent's login on the host before a launch, as plain JSON.
 * Never holds a secret: file contents stay with the reader.
 */
export interface LoginFacts {
  agent: AgentSlug;
  /** Where the login was looked for, with links resolved. */
  dir: string;
  /** `own login`: one of jackin's own. */
  from: 'default' | 'sync_source_dir' | 'own login';
  /** Which of Kimi's two products wrote it; null for other agents, and when there is nothing to tell by. */
  generation: 'kimi-code' | 'kimi' | null;
  state: LoginState;
  refreshable: boolean;
  /** It is there, and may not be read: `why` says what is in the way. */
  unreadable?: true;
  /** E-mail address or id of the account, where the token tells. */
  account?: string;
  /** End of the access token, ISO 8601. */
  expiresAt?: string;
  /** Files of the login that are there. `size` in bytes; `state` for credential files. */
  files: { path: string; size: number; state?: LoginState }[];
  /** What was left out and needs mentioning, such as links. */
  skipped: { path: string; why: string }[];
  aliases: { alias: string; model: string }[];
  defaultModel?: string;
  /** One sentence for a person: why the state is what it is. */
  why: string;
}
