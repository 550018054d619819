// The logins of the fake Kimi server: chains of refresh tokens, each with the
// access tokens that it gave out, and device codes that may become a chain.
// Which rules hold is chosen by options; all time comes from `now`.
import { randomBytes } from 'node:crypto';

/** A token of the form that real ones have: a JWT with nobody's signature. */
export const newToken = (/** @type {string} */ subject, /** @type {number} */ expiresAt) => {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = { sub: subject, exp: Math.floor(expiresAt), jti: randomBytes(12).toString('hex') };
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}.${randomBytes(32).toString('base64url')}`;
};

/** What is wrong with a request; the answer it gets and the word that is recorded. */
export class Refusal extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ error, /** @type {string} */ wrong) {
    super(wrong);
    this.status = status;
    this.error = error;
  }
}

/**
 * @typedef {object} KnownLogin
 * @property {string} deviceId
 * @property {string} accessToken
 * @property {string} refreshToken
 * @property {number} expiresAt Unix seconds; the server itself refuses the access token after it.
 * @property {string} [subject] the account; carried on into refreshed tokens
 *
 * @typedef {object} DeviceRules
 * @property {number} [expiresIn] lifetime of a code, in seconds (600)
 * @property {number} [interval] how long to wait between two polls, in seconds (1)
 * @property {('authorization_pending' | 'slow_down' | 'expired_token' | 'access_denied' | 'granted')[] | 'never'} [polls]
 *   what the polls are answered, one after the other, whatever the code; then they are granted.
 *   Left out: the first poll of every code is pending. `never`: all of them are.
 *
 * @typedef {object} AccountRules
 * @property {KnownLogin[]} [logins]
 * @property {number} [expiresIn] lifetime of the access tokens that it issues, in seconds (900)
 * @property {'single-use' | 'revokes-family' | 'grace' | 'non-rotating'} [rotation] what becomes of a
 *   refresh token that was used: it is refused (the default); it ends its whole chain; for
 *   `graceSeconds` it is answered what it was answered before; it goes on to be good
 * @property {number} [graceSeconds] (60)
 * @property {boolean} [oldTokenLives] an access token outlives the refresh of its chain
 * @property {number} [clockOffset] seconds that the server's clock is ahead of everybody else's
 * @property {DeviceRules} [device]
 * @property {() => number} [now] Unix time in seconds
 *
 * @typedef {object} Chain
 * @property {string} subject
 * @property {string} deviceId
 * @property {string} refreshToken the one that is good
 * @property {Map<string, number>} accessTokens by the moment they end
 * @property {boolean} revoked
 * @property {number} refreshes
 * @property {number} rejected refreshes that were refused
 *
 * @typedef {{ accessToken: string, refreshToken: string, expiresIn: number }} Pair
 */

/** @param {AccountRules} rules */
export const makeAccounts = (rules) => {
  const { expiresIn = 900, rotation = 'single-use', graceSeconds = 60, oldTokenLives = false, clockOffset = 0 } = rules;
  const now = rules.now ?? (() => Date.now() / 1000);
  /** @type {Chain[]} */
  const chains = (rules.logins ?? []).map((login) => ({
    subject: login.subject ?? 'somebody',
    deviceId: login.deviceId,
    refreshToken: login.refreshToken,
    accessTokens: new Map([[login.accessToken, login.expiresAt]]),
    revoked: false,
    refreshes: 0,
    rejected: 0,
  }));
  /** @type {Map<string, { chain: Chain, at: number, pair: Pair }>} */
  const used = new Map();
  const totals = { rejected: 0 };

  /** @returns {Pair} */
  const issue = (/** @type {Chain} */ chain) => {
    const accessToken = newToken(chain.subject, now() + clockOffset + expiresIn);
    const refreshToken = rotation === 'non-rotating' && chain.refreshToken
      ? chain.refreshToken
      : newToken(chain.subject, now() + clockOffset + 30 * 24 * 3600);
    const pair = { accessToken, refreshToken, expiresIn };
    if (chain.refreshToken && chain.refreshToken !== refreshToken) used.set(chain.refreshToken, { chain, at: now(), pair });
    for (const [token, endsAt] of chain.accessTokens) {
      if (!oldTokenLives || endsAt <= now()) chain.accessTokens.delete(token);
    }
    chain.accessTokens.set(accessToken, now() + expiresIn);
    chain.refreshToken = refreshToken;
    return pair;
  };

  const refuse = (/** @type {string} */ wrong, /** @type {Chain | undefined} */ chain) => {
    totals.rejected += 1;
    if (chain) chain.rejected += 1;
    return new Refusal(400, 'invalid_grant', wrong);
  };

  /** A refresh token that was used before: what happens says the rotation. */
  const useAgain = (/** @type {{ chain: Chain, at: number, pair: Pair }} */ { chain, at, pair }) => {
    if (rotation === 'grace' && !chain.revoked && now() - at <= graceSeconds) return pair;
    if (rotation === 'revokes-family') {
      chain.revoked = true;
      chain.accessTokens.clear();
    }
    throw refuse('refresh token was used before', chain);
  };

  return {
    byAccessToken(/** @type {string} */ token) {
      const chain = chains.find(({ accessTokens }) => accessTokens.has(token));
      if (!chain) throw new Refusal(401, 'invalid_token', 'unknown access token');
      if ((chain.accessTokens.get(token) ?? 0) <= now()) throw new Refusal(401, 'invalid_token', 'expired access token');
      return chain;
    },
    refresh(/** @type {string} */ token, /** @type {string} */ deviceId) {
      const before = used.get(token);
      const chain = before?.chain ?? (token ? chains.find(({ refreshToken }) => refreshToken === token) : undefined);
      if (!chain) throw refuse('unknown refresh token', undefined);
      if (chain.deviceId !== deviceId) throw refuse('refresh from another device', chain);
      if (before) return useAgain(before);
      if (chain.revoked) throw refuse('the login was revoked', chain);
      chain.refreshes += 1;
      return issue(chain);
    },
    ...makeDevices(rules.device ?? {}, now, (/** @type {string} */ deviceId) => {
      const chain = { subject: 'somebody', deviceId, refreshToken: '', accessTokens: new Map(), revoked: false, refreshes: 0, rejected: 0 };
      chains.push(chain);
      return issue(chain);
    }),
    /** What became of every chain, in the order in which they began; no token among it. */
    report: () => ({
      rejected: totals.rejected,
      live: chains.filter(({ revoked }) => !revoked).length,
      chains: chains.map(({ subject, revoked, refreshes, rejected }) => ({ subject, live: !revoked, refreshes, rejected })),
    }),
  };
};

const makeDevices = (
  /** @type {DeviceRules} */ { expiresIn = 600, interval = 1, polls },
  /** @type {() => number} */ now,
  /** @type {(deviceId: string) => Pair} */ grant,
) => {
  /** @type {Map<string, { deviceId: string, endsAt: number, polls: number }>} */
  const codes = new Map();
  let polled = 0;
  return {
    startDevice(/** @type {string} */ deviceId) {
      const code = randomBytes(20).toString('hex');
      codes.set(code, { deviceId, endsAt: now() + expiresIn, polls: 0 });
      return { code, expiresIn, interval };
    },
    pollDevice(/** @type {string} */ code, /** @type {string} */ deviceId) {
      const known = codes.get(code);
      if (!known || known.deviceId !== deviceId) throw new Refusal(400, 'invalid_grant', 'unknown device code');
      const usual = known.polls === 0 ? 'authorization_pending' : 'granted';
      const planned = polls === 'never' ? 'authorization_pending' : polls ? (polls[polled] ?? 'granted') : usual;
      known.polls += 1;
      polled += 1;
      const answer = known.endsAt <= now() ? 'expired_token' : planned;
      if (answer === 'expired_token' || answer === 'granted') codes.delete(code);
      if (answer === 'granted') return grant(deviceId);
      throw new Refusal(400, answer, `the device login is answered ${answer}`);
    },
  };
};
