/** What the keeper says of itself and of the logins it keeps. Never a secret. */

export interface KeptLogin {
  account: string;
  /** `live`: works. `trouble`: works until `expires_at`, and the last renewal failed. `ended`: the server takes it no more. `none`: there is no such login any more. */
  state: 'live' | 'trouble' | 'ended' | 'none';
  /** End of the access token, ISO 8601; null when there is none. */
  expires_at: string | null;
  /** When the keeper last renewed it; null when it never did. */
  refreshed_at: string | null;
  /** When it means to renew it next; null when it does not. */
  next_refresh_at: string | null;
  /** One sentence about what is wrong; null when nothing is. */
  why: string | null;
  /** Containers that hold a lease of it. */
  holders: string[];
}

export interface KeeperStatus {
  pid: number;
  started_at: string;
  logins: KeptLogin[];
}
