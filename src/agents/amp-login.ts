import { accountName, dead, judgeTerm, jwtPayload, parseCredentialFile, positiveNumber, type Table, textOf } from './judge.ts';
import type { LoginVerdict } from './login-form.ts';

/** Where Amp goes when nothing names another server; also how it writes that server in its file. */
const USUAL_SERVER = 'https://ampcode.com/';

/** What Amp keeps in the file, each with `@` and the address of a server behind it. */
const KNOWN_ENTRY = /^(apiKey|oauth-refresh-token|mcp-oauth-token|mcp-oauth-client-secret)@/;

/** From most to least use. */
const ORDER = ['live', 'expired-refreshable', 'dead'];

/**
 * Judges the text of `secrets.json` the way Amp reads it: one login for each
 * server, of which the best counts. Never returns a token.
 */
export const judgeAmp = (text: string, now: Date): LoginVerdict => {
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return parsed.broken;
  const { fields } = parsed;
  const names = Object.keys(fields);
  const servers = names.filter((name) => name.startsWith('apiKey@')).map((name) => name.slice('apiKey@'.length));
  if (servers.length === 0) {
    return names.every((name) => KNOWN_ENTRY.test(name))
      ? dead('holds no login')
      : { state: 'unknown', refreshable: false, why: 'has a form that jackin does not know' };
  }
  const usualFirst = servers.toSorted((a, b) => Number(b === USUAL_SERVER) - Number(a === USUAL_SERVER));
  const verdicts = usualFirst.map((server) => judgeServer(fields, server, now));
  return verdicts.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))[0]!;
};

const judgeServer = (fields: Table, server: string, now: Date): LoginVerdict => {
  const key = textOf(fields, `apiKey@${server}`);
  // Logging out leaves the entries behind, empty.
  if (key === undefined) return dead('holds no key: this login was ended');
  // Amp takes whatever looks like a JWT for a session that is refreshed, and anything else for a key that stays.
  const isSession = /^[\w-]+\.[\w-]+\.[\w-]+$/.test(key);
  if (!isSession) return { state: 'live', refreshable: false, why: 'holds an access token that does not expire' };
  const payload = jwtPayload(key);
  const refreshable = textOf(fields, `oauth-refresh-token@${server}`) !== undefined;
  const account = accountName(payload['email']) ?? accountName(payload['sub']);
  return judgeTerm({ refreshable, account, expiresAt: positiveNumber(payload['exp']) }, now);
};

/** What Amp remembers from one start to the next, beside its login. */
export const SESSION_FILE = 'session.json';

/**
 * The text that {@link SESSION_FILE} must have so that Amp starts at its prompt and
 * not with its introduction; undefined when it does already. Whatever else Amp
 * remembers there stays.
 */
export const skipIntroduction = (text: string | undefined): string | undefined => {
  const parsed = parseCredentialFile(text ?? '');
  const fields = 'fields' in parsed ? parsed.fields : {};
  return fields['neoWelcomeDismissed'] === true ? undefined : JSON.stringify({ ...fields, neoWelcomeDismissed: true }, null, 2);
};
