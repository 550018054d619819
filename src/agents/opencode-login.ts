import { accountName, dead, isTable, judgeTerm, jwtPayload, parseCredentialFile, type Table, textOf } from './judge.ts';
import type { LoginVerdict } from './login-form.ts';

const UNKNOWN: LoginVerdict = { state: 'unknown', refreshable: false, why: 'has a form that jackin does not know' };

/** From most to least use. */
const ORDER = ['live', 'expired-refreshable', 'unknown', 'dead'];

/**
 * Judges the text of `auth.json` the way OpenCode reads it: one login for each
 * provider, of which the best counts. Never returns a token.
 */
export const judgeOpencode = (text: string, now: Date): LoginVerdict => {
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return parsed.broken;
  const verdicts = Object.values(parsed.fields).map((entry) => judgeEntry(entry, now));
  const [best] = verdicts.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || endOf(a) - endOf(b));
  // Logging out of the last provider leaves an empty object.
  if (best === undefined) return dead('holds no login');
  return { ...best, refreshable: verdicts.some(({ refreshable }) => refreshable) };
};

/** Of logins in the same state the one that ends is told of: it is the one to look after. */
const endOf = ({ expiresAt }: LoginVerdict): number => expiresAt ?? Number.MAX_VALUE;

const judgeEntry = (entry: unknown, now: Date): LoginVerdict => {
  if (!isTable(entry)) return UNKNOWN;
  switch (entry['type']) {
    case 'api':
      return textOf(entry, 'key') === undefined
        ? dead('holds an empty key')
        : { state: 'live', refreshable: false, why: 'holds an API key' };
    case 'wellknown':
      return textOf(entry, 'key') === undefined || textOf(entry, 'token') === undefined
        ? dead('holds an empty token')
        : { state: 'live', refreshable: false, why: 'holds the token of a server' };
    case 'oauth':
      return judgeOauth(entry, now);
    default:
      return UNKNOWN;
  }
};

const judgeOauth = (entry: Table, now: Date): LoginVerdict => {
  const { access, refresh, expires } = entry;
  const isRead = typeof access === 'string' && typeof refresh === 'string' && Number.isInteger(expires) && Number(expires) >= 0;
  if (!isRead) return dead('is incomplete, and OpenCode passes over it');
  if (access === '' && refresh === '') return dead('holds neither an access token nor a refresh token');
  const payload = jwtPayload(access);
  const account = accountName(payload['email']) ?? accountName(entry['accountId']) ?? accountName(payload['sub']);
  // One token in both places is a fixed one, as GitHub Copilot has it, and 0 then stands for no end.
  const isFixed = access === refresh;
  const expiresAt = isFixed && expires === 0 ? undefined : Number(expires) / 1000;
  if (access === '') return { state: 'expired-refreshable', refreshable: true, why: 'has expired and can be refreshed' };
  return judgeTerm({ refreshable: refresh !== '' && !isFixed, account, expiresAt }, now);
};
