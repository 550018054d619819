import type { LoginState } from './login-facts.ts';

/** What the files of a login say of it. Never holds a secret. */
export interface LoginVerdict {
  state: LoginState;
  refreshable: boolean;
  /** E-mail address or id of the account, where the file tells. */
  account?: string;
  /** End of the access token, Unix time in seconds; missing when the file does not tell. */
  expiresAt?: number;
  /** Half a sentence that follows the file's name, such as `is empty`. */
  why: string;
}

/** What belongs to the account in a file that holds more than that. */
export interface AccountMetadata {
  /** The agent's own file: beside the credential file, but at `usual` below the home when nothing names a directory. */
  file: string;
  usual: string;
  /** Name in the handoff. */
  handoff: string;
  /** The part of the file that is handed over, as JSON, and whose account it is. Undefined when it says nothing of one. */
  pick: (text: string) => { text: string; account?: string } | undefined;
}

/**
 * A login that is one credential file, as every agent but Kimi keeps it. The host's
 * file is handed over byte for byte.
 */
export interface FileLogin {
  /** Name of the file inside the agent's directory, on the host and in the container. */
  file: string;
  /** Name of the file in the handoff. */
  handoff: string;
  /** Judges the text of the file the way the agent reads it. */
  judge: (text: string, now: Date) => LoginVerdict;
  account?: AccountMetadata;
  /** Name under which a keychain holds the same text; a directory that is named has one of its own. */
  keychainService?: (dir: string | undefined) => string;
}
