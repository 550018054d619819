import { accountName, dead, isTable, judgeTerm, parseCredentialFile, sha256, type Table, tableOf, textOf } from './judge.ts';
import type { LoginVerdict } from './login-form.ts';

const UNKNOWN_FORM: LoginVerdict = { state: 'unknown', refreshable: false, why: 'has a form that jackin does not know' };

/** What Claude keeps in the file beside its login. */
const OTHER_SECRETS: readonly string[] = ['mcpOAuth', 'mcpOAuthClientConfig', 'pluginSecrets'];

/** Without this scope Claude counts as logged out, whatever else is there. */
const NEEDED_SCOPE = 'user:inference';

/** A moment as Claude writes it, in seconds; one in the past, zero too, is an end like any other. */
const endOf = (milliseconds: unknown): number | undefined =>
  typeof milliseconds === 'number' ? Math.floor(milliseconds / 1000) : undefined;

/** Judges the text of `.credentials.json` the way Claude Code reads it. Never returns a token. */
export const judgeClaude = (text: string, now: Date): LoginVerdict => {
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return parsed.broken;
  const { fields } = parsed;
  if (!Object.hasOwn(fields, 'claudeAiOauth')) {
    return Object.keys(fields).every((key) => OTHER_SECRETS.includes(key)) ? dead('holds no login') : UNKNOWN_FORM;
  }
  const login = tableOf(fields, 'claudeAiOauth');
  if (textOf(login, 'accessToken') === undefined) return dead('holds no access token: this login was rejected or ended');
  const scopes = login['scopes'];
  if (!Array.isArray(scopes) || scopes.length === 0) return dead('holds a login without scopes, which Claude Code does not take');
  if (!scopes.includes(NEEDED_SCOPE)) return UNKNOWN_FORM;
  // The end of the whole login, which no refresh moves.
  const lastRefresh = endOf(login['refreshTokenExpiresAt']) ?? Number.POSITIVE_INFINITY;
  const refreshable = textOf(login, 'refreshToken') !== undefined && lastRefresh * 1000 > now.getTime();
  return judgeTerm({ refreshable, expiresAt: endOf(login['expiresAt']) }, now);
};

/**
 * Keys of Claude's `.claude.json` that say who it works for: the account, and the id
 * under which the installation is known to the server. All others are settings,
 * projects and their history.
 */
export const ACCOUNT_KEYS: readonly string[] = ['oauthAccount', 'userID'];

/** The file's object, or undefined when it holds none. */
const parseSettings = (text: string): Table | undefined => {
  const parsed = parseCredentialFile(text);
  return 'broken' in parsed ? undefined : parsed.fields;
};

/** Whether Claude could not read its own file. */
export const isBroken = (text: string): boolean => parseSettings(text) === undefined;

const pickAccount = (settings: Table): Table => Object.fromEntries(ACCOUNT_KEYS.filter((key) => Object.hasOwn(settings, key)).map((key) => [key, settings[key]]));

/** The account's part of a `.claude.json`, as JSON, and whose it is. Undefined when it tells of no account. */
export const accountMetadata = (text: string): { text: string; account?: string } | undefined => {
  const settings = parseSettings(text);
  if (settings === undefined || !isTable(settings['oauthAccount'])) return undefined;
  const { emailAddress, accountUuid } = settings['oauthAccount'];
  const account = accountName(emailAddress) ?? accountName(accountUuid);
  return { text: `${JSON.stringify(pickAccount(settings), null, 2)}\n`, ...(account !== undefined && { account }) };
};

/** The account that a `.claude.json` tells of, in the form of {@link accountMetadata}; undefined when it tells of none. */
export const accountIn = (text: string): string | undefined => accountMetadata(text)?.text;

const print = (settings: Table): string => `${JSON.stringify(settings, null, 2)}\n`;

/**
 * A `.claude.json` in which what Claude asks at its first start in a folder is
 * answered, and that tells of the account, where one is given (see {@link accountMetadata}). Everything else in
 * it stays; one that is no JSON object is begun anew.
 */
export const answerClaude = (existing: string | undefined, workdir: string, account: string | undefined): string => {
  const settings = existing === undefined ? {} : (parseSettings(existing) ?? {});
  const projects = tableOf(settings, 'projects');
  const answered = {
    ...settings,
    ...(account !== undefined && pickAccount(parseSettings(account) ?? {})),
    hasCompletedOnboarding: true,
    projects: { ...projects, [workdir]: { ...tableOf(projects, workdir), hasTrustDialogAccepted: true } },
  };
  // As it was written, where there is nothing to add: Claude may be running.
  return existing !== undefined && JSON.stringify(answered) === JSON.stringify(settings) ? existing : print(answered);
};

/** A `.claude.json` without what it tells of the account. */
export const withoutAccount = (existing: string): string => {
  const settings = parseSettings(existing) ?? {};
  return print(Object.fromEntries(Object.entries(settings).filter(([key]) => !ACCOUNT_KEYS.includes(key))));
};

/** Where macOS keeps the text of `.credentials.json`; a directory that is named (absolute) has an item of its own. */
export const claudeKeychainService = (dir: string | undefined): string =>
  `Claude Code-credentials${dir === undefined ? '' : `-${sha256(dir.normalize('NFC')).slice(0, 8)}`}`;
