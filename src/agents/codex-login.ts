import { accountName, dead, judgeTerm, jwtPayload, parseCredentialFile, positiveNumber, tableOf, textOf } from './judge.ts';
import type { LoginVerdict } from './login-form.ts';

/** Judges the text of `auth.json` the way Codex reads it: a ChatGPT login, or an API key. Never returns a token. */
export const judgeCodex = (text: string, now: Date): LoginVerdict => {
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return parsed.broken;
  const { fields } = parsed;
  if (Object.keys(fields).length === 0) return dead('holds no login');
  const tokens = tableOf(fields, 'tokens');
  const access = textOf(tokens, 'access_token');
  if (access !== undefined) {
    const refreshable = textOf(tokens, 'refresh_token') !== undefined;
    const email = jwtPayload(textOf(tokens, 'id_token') ?? '')['email'];
    const account = accountName(email) ?? accountName(tokens['account_id']);
    return judgeTerm({ refreshable, account, expiresAt: positiveNumber(jwtPayload(access)['exp']) }, now);
  }
  if (textOf(fields, 'OPENAI_API_KEY') !== undefined) return { state: 'live', refreshable: false, why: 'holds an API key' };
  const isKnownForm = ['tokens', 'OPENAI_API_KEY'].some((key) => Object.hasOwn(fields, key));
  return isKnownForm
    ? dead('holds neither an access token nor a key: this login was rejected or ended')
    : { state: 'unknown', refreshable: false, why: 'has a form that jackin does not know' };
};
