import type { Agent } from './agents.ts';
import { sha256 } from './judge.ts';
import { listCredentials } from './kimi-config.ts';
import { deriveKimiCode } from './kimi-derive.ts';
import { isLoginPath, judgeLogin, keyDigest } from './kimi-login.ts';
import type { LoginState } from './login-facts.ts';

/**
 * A login as it stands, or would stand, in the home of a container: the same form
 * for what the host hands over and for what is there.
 */

type Files = ReadonlyMap<string, Buffer>;

/** What a comparison of two logins looks at. */
export interface LoginView {
  /** Changes with the credential and with nothing else. */
  digest: string;
  state: LoginState;
  refreshable: boolean;
  /** Unix time in seconds. */
  expiresAt?: number | undefined;
  account?: string | undefined;
}

export interface PlacedLogin {
  /** Content by path below the home. */
  files: Map<string, Buffer>;
  /** Undefined when there is no credential. */
  view: LoginView | undefined;
  /** Digests of keys that stand in the settings among the files. */
  keys: string[];
}

export const KIMI_CODE_HOME = '.kimi-code';
export const KIMI_CLI_HOME = '.kimi';

const below = (dir: string, files: Files): [string, Buffer][] => [...files].map(([file, bytes]) => [`${dir}/${file}`, bytes]);

/** Which paths below the agent's directory in a home belong to its login. */
export const isAtHome = ({ login }: Agent): ((file: string) => boolean) => (login === undefined ? isLoginPath : (file) => file === login.file);

/** Which paths below its name in the handoff do. */
export const isInHandoff = ({ login }: Agent): ((file: string) => boolean) =>
  login === undefined ? isLoginPath : (file) => file === login.handoff || file === login.account?.handoff;

const placedFile = (agent: Agent, bytes: Buffer | undefined, now: Date): PlacedLogin => {
  const { login, homes } = agent;
  if (login === undefined || bytes === undefined) return { files: new Map(), view: undefined, keys: [] };
  const { state, refreshable, expiresAt, account } = login.judge(bytes.toString('utf8'), now);
  const view = { digest: sha256(bytes), state, refreshable, expiresAt, account };
  return { files: new Map([[`${homes[0]}/${login.file}`, bytes]]), view, keys: [] };
};

/** `files` are those to place, `kimiCode` the Kimi Code home among them. */
const placedKimi = (files: Map<string, Buffer>, kimiCode: Files, now: Date): PlacedLogin => {
  const { digest, state, refreshable, expiresAt, account, config } = judgeLogin(kimiCode, 'kimi-code', now);
  const keys = listCredentials(config, 'kimi-code').flatMap((credential) => (credential.kind === 'slot' ? [] : [keyDigest(credential)]));
  return { files, view: digest === undefined ? undefined : { digest, state, refreshable, expiresAt, account }, keys };
};

/** The login that a home holds; `files` by path below the agent's directory there. */
export const loginAtHome = (agent: Agent, files: Files, now: Date): PlacedLogin =>
  agent.login === undefined
    ? placedKimi(new Map(below(KIMI_CODE_HOME, files)), files, now)
    : placedFile(agent, files.get(agent.login.file), now);

/**
 * A login that is handed over, as it would stand in a home. One of kimi-cli comes
 * with a Kimi Code home made from it. Undefined when the set holds no credential file.
 */
export const loginInHandoff = (agent: Agent, set: { name: string; files: Files }, now: Date): PlacedLogin | undefined => {
  if (agent.login !== undefined) {
    const bytes = set.files.get(agent.login.handoff);
    return bytes === undefined ? undefined : placedFile(agent, bytes, now);
  }
  const kimiCode = set.name === 'kimi' ? deriveKimiCode(set.files) : set.files;
  return placedKimi(new Map([...(set.name === 'kimi' ? below(KIMI_CLI_HOME, set.files) : []), ...below(KIMI_CODE_HOME, kimiCode)]), kimiCode, now);
};
