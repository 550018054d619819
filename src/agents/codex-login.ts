import { accountName, dead, isTable, judgeTerm, jwtPayload, parseCredentialFile, positiveNumber, type Table, textOf } from './judge.ts';
import type { LoginVerdict } from './login-form.ts';

const UNKNOWN_FORM: LoginVerdict = { state: 'unknown', refreshable: false, why: 'has a form that jackin does not know' };

/** The fields of the two ways of logging in that are judged here. Codex has more of both. */
const KNOWN_FIELDS: readonly string[] = ['auth_mode', 'OPENAI_API_KEY', 'tokens', 'last_refresh'];
const KNOWN_MODES: readonly unknown[] = [undefined, null, 'chatgpt', 'apikey'];

/** Judges the text of `auth.json` the way Codex reads it: a ChatGPT login, or an API key. Never returns a token. */
export const judgeCodex = (text: string, now: Date): LoginVerdict => {
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return parsed.broken;
  const { fields } = parsed;
  const { auth_mode: mode, tokens } = fields;
  if (!KNOWN_MODES.includes(mode)) return UNKNOWN_FORM;
  // Codex reads the file as a whole: tokens that it cannot read make it ignore a key as well.
  if (isTable(tokens) && !canRead(tokens)) return dead('holds tokens that Codex cannot read');
  const hasKey = textOf(fields, 'OPENAI_API_KEY') !== undefined;
  if (mode === 'apikey' || (hasKey && mode !== 'chatgpt')) {
    return hasKey ? { state: 'live', refreshable: false, why: 'holds an API key' } : dead('holds no API key');
  }
  if (isTable(tokens)) return judgeTokens(tokens, now);
  return Object.keys(fields).every((field) => KNOWN_FIELDS.includes(field)) ? dead('holds no login') : UNKNOWN_FORM;
};

const canRead = (tokens: Table): boolean => {
  const isText = (name: string): boolean => typeof tokens[name] === 'string';
  return isText('access_token') && isText('refresh_token') && isTable(idClaims(tokens));
};

/** What the id token says; undefined when it is none. */
const idClaims = (tokens: Table): Table | undefined => {
  const claims = jwtPayload(textOf(tokens, 'id_token') ?? '');
  return Object.keys(claims).length === 0 ? undefined : claims;
};

const judgeTokens = (tokens: Table, now: Date): LoginVerdict => {
  const access = textOf(tokens, 'access_token');
  if (access === undefined) return dead('holds no access token: this login was rejected or ended');
  const refreshable = textOf(tokens, 'refresh_token') !== undefined;
  const account = accountName(idClaims(tokens)?.['email']) ?? accountName(tokens['account_id']);
  return judgeTerm({ refreshable, account, expiresAt: positiveNumber(jwtPayload(access)['exp']) }, now);
};
