import {
  accountName,
  dead,
  isTable,
  judgeTerm,
  jwtPayload,
  parseCredentialFile,
  positiveNumber,
  sha256,
  tableOf,
  type Table,
  textOf,
} from './judge.ts';
import type { KimiConfig, KimiCredential, KimiGeneration } from './kimi-config.ts';
import { credentialInUse, parseKimiConfig } from './kimi-config.ts';
import type { LoginVerdict } from './login-form.ts';

/** Names below a Kimi directory that make up a login. */
export const CONFIG_FILE = 'config.toml';
export const DEVICE_FILE = 'device_id';
export const CREDENTIALS_DIR = 'credentials';

export const slotFile = (slot: string): string => `${CREDENTIALS_DIR}/${slot}.json`;

/** Files of a login by their path below the Kimi directory. */
export type KimiFiles = ReadonlyMap<string, Buffer>;

/**
 * Whether a path below a Kimi directory belongs to the login. MCP tokens are
 * other secrets; lock and temporary files are of use to the running Kimi only.
 */
export const isLoginPath = (path: string): boolean => {
  const [top = '', second, ...rest] = path.split('/');
  if (top === CONFIG_FILE || top === DEVICE_FILE) return second === undefined;
  if (top !== CREDENTIALS_DIR || second === 'mcp') return false;
  return [second ?? '', ...rest].every((name) => !/\.lock$|\.tmp(\.|$)/.test(name));
};

const accountOf = (payload: Table): string | undefined =>
  ['email', 'user_id', 'sub'].map((key) => accountName(payload[key])).find((name) => name !== undefined);

/** Judges the text of a credential file the way Kimi Code reads it. Never returns a token. */
export const judgeCredential = (text: string | undefined, now: Date): LoginVerdict => {
  if (text === undefined) return { state: 'absent', refreshable: false, why: 'is missing' };
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return parsed.broken;
  const { fields } = parsed;
  const isKnownForm = ['access_token', 'refresh_token'].some((key) => Object.hasOwn(fields, key));
  if (!isKnownForm && Object.keys(fields).length > 0) {
    return { state: 'unknown', refreshable: false, why: 'has a form that jackin does not know' };
  }
  const access = textOf(fields, 'access_token');
  if (access === undefined) return dead('holds no access token: this login was rejected or ended');
  const payload = jwtPayload(access);
  const refreshable = textOf(fields, 'refresh_token') !== undefined;
  // A lease: when it ends, its keeper knows. What the token says of itself is by the server's clock.
  if (!refreshable && fields['expires_at'] === 0) return judgeTerm({ refreshable, account: accountOf(payload) }, now);
  const expiresAt = positiveNumber(fields['expires_at']) ?? positiveNumber(payload['exp']);
  return judgeTerm({ refreshable, account: accountOf(payload), expiresAt }, now);
};

/** A login judged as a whole: configuration and the credential that it uses. */
export interface KimiLogin extends LoginVerdict {
  config: KimiConfig;
  credential: KimiCredential | undefined;
  /** SHA-256 that changes with the credential and with nothing else; missing without a credential. */
  digest?: string;
}

/** Judges the files of a Kimi directory together; `why` is a whole sentence. */
export const judgeLogin = (files: KimiFiles, generation: KimiGeneration, now: Date): KimiLogin => {
  const none = { refreshable: false, config: {}, credential: undefined };
  const text = files.get(CONFIG_FILE)?.toString('utf8');
  if (text === undefined) {
    const why = [...files.keys()].some((path) => path.startsWith(`${CREDENTIALS_DIR}/`))
      ? `There are credentials but no ${CONFIG_FILE}, and Kimi needs both.`
      : `There is no ${CONFIG_FILE}.`;
    return { ...none, state: 'absent', why };
  }
  const parsed = parseKimiConfig(text);
  if ('broken' in parsed) return { ...none, state: 'dead', why: `${CONFIG_FILE} cannot be read: ${parsed.broken}.` };
  const { config } = parsed;
  const credential = credentialInUse(config, generation);
  if (credential === undefined) {
    return { ...none, config, state: 'absent', why: `${CONFIG_FILE} names no provider with a login or a key.` };
  }
  return { config, credential, ...judgeCredentialInUse(files, credential, now) };
};

/** SHA-256 by which a key in a configuration is recognised without being kept. */
export const keyDigest = (credential: Exclude<KimiCredential, { kind: 'slot' }>): string =>
  sha256([credential.kind, credential.provider, credential.kind === 'key' ? credential.key : credential.variable].join(' '));

const judgeCredentialInUse = (
  files: KimiFiles,
  credential: KimiCredential,
  now: Date,
): LoginVerdict & { digest?: string } => {
  const { provider } = credential;
  switch (credential.kind) {
    case 'key':
      return {
        state: 'live',
        refreshable: false,
        digest: keyDigest(credential),
        why: `Provider "${provider}" has an API key in ${CONFIG_FILE}.`,
      };
    case 'env':
      return {
        state: 'unknown',
        refreshable: false,
        digest: keyDigest(credential),
        why: `Provider "${provider}" reads its key from the variable ${credential.variable}.`,
      };
    case 'slot': {
      const path = slotFile(credential.slot);
      const bytes = files.get(path);
      const verdict = judgeCredential(bytes?.toString('utf8'), now);
      const digest = bytes === undefined ? {} : { digest: sha256(Buffer.concat([Buffer.from(`slot ${path} `), bytes])) };
      return { ...verdict, ...digest, why: `${path} ${verdict.why}.` };
    }
    default:
      return credential satisfies never;
  }
};

/** What tells the two product generations apart. */
interface GenerationSigns {
  /** Names directly inside the directory. */
  names: readonly string[];
  files: KimiFiles;
}

/**
 * Which product wrote a directory. Something that only Kimi Code makes decides,
 * then something that only kimi-cli makes: a home that kimi-cli's settings were
 * migrated into holds signs of both and is Kimi Code's. Without any sign: `fallback`.
 */
export const generationOf = ({ names, files }: GenerationSigns, fallback: KimiGeneration): KimiGeneration => {
  const parsed = parseKimiConfig(files.get(CONFIG_FILE)?.toString('utf8') ?? '');
  const config = 'config' in parsed ? parsed.config : {};
  const device = files.get(DEVICE_FILE)?.toString('utf8').trim() ?? '';
  const has = (...wanted: string[]): boolean => wanted.some((name) => names.includes(name));
  const hasKey = (...wanted: string[]): boolean => wanted.some((key) => Object.hasOwn(config, key));

  const providers = Object.values(tableOf(config, 'providers')).filter(isTable);
  const isKimiCode =
    has('oauth', 'tui.toml', 'workspace-trust', 'session_index.jsonl', 'workspaces.json', 'region') ||
    [...files.keys()].some((path) => path.startsWith(`${CREDENTIALS_DIR}/kimi-code-env-`)) ||
    hasKey('thinking', 'default_permission_mode') ||
    providers.some(
      (provider) => Object.hasOwn(provider, 'api_key_env') || Object.hasOwn(tableOf(provider, 'oauth'), 'oauth_host'),
    );
  if (isKimiCode) return 'kimi-code';

  const isKimiCli =
    has('kimi.json', 'config.json.bak', '.migrated-to-kimi-code') ||
    hasKey('default_thinking', 'default_yolo') ||
    /^[0-9a-f]{32}$/.test(device);
  return isKimiCli ? 'kimi' : fallback;
};
