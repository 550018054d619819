import { isDeepStrictEqual } from 'node:util';
import { AGENTS } from '../../../src/agents/agents.ts';
import { skipIntroduction } from '../../../src/agents/amp-login.ts';
import { answerClaude, withoutAccount } from '../../../src/agents/claude-login.ts';
import { type HostsTable, isToken, loginIn, parseHosts, printHosts, withLogin } from '../../../src/agents/github-login.ts';
import { addKeyProvider, credentialInUse, listAliases, listCredentials, parseKimiConfig, printKimiConfig, removeKeyProvider } from '../../../src/agents/kimi-config.ts';
import { deriveKimiCode } from '../../../src/agents/kimi-derive.ts';
import { generationOf, isLoginPath, judgeCredential, judgeLogin } from '../../../src/agents/kimi-login.ts';
import { configWith, parseModels } from '../../../src/agents/kimi-models.ts';
import { parseToken, printToken } from '../../../src/agents/kimi-token.ts';
import { parseUsage } from '../../../src/agents/kimi-usage.ts';
import { logInWithCode } from '../../../src/auth/kimi-device-login.ts';
import { grantIn, requestRefresh, serverSays } from '../../../src/auth/kimi-oauth.ts';
import { secretsIn } from '../../../src/auth/secret-values.ts';
import { FORMS } from '../../fixtures/logins/logins.ts';
import { credential, KIMI_CLI_CONFIG, KIMI_CODE_CONFIG, NOW, tombstone } from '../../fixtures/kimi/login.ts';
import { promise, target, type Target } from '../target.ts';

const STATES = ['live', 'expired-refreshable', 'dead', 'unknown', 'absent'];

const isPlain = (text: string): boolean => !/\p{Cc}/u.test(text);

/** Each judge tells one of the known states, in words that can be printed. */
const judgeTarget = (slug: 'claude' | 'codex' | 'amp' | 'opencode'): Target => {
  const login = AGENTS[slug].login!;
  const { text, others = {} } = FORMS[slug];
  return target({
    name: `${slug}-login`,
    covers: [`src/agents/${slug}-login.ts`, 'src/agents/judge.ts'],
    form: 'json',
    seeds: () => [...(['live', 'expired', 'dead'] as const).map((condition) => text(1, condition)), ...Object.values(others)],
    allows: () => false,
    run: (input) => {
      const written = input.toString('utf8');
      const { state, why, account, expiresAt } = login.judge(written, NOW);
      promise(STATES.includes(state) && isPlain(why) && isPlain(account ?? ''), `an odd verdict: ${state}`);
      promise(expiresAt === undefined || !Number.isNaN(expiresAt), 'an end that is no number');
      login.account?.pick(written);
      if (slug === 'amp') skipIntroduction(written);
      if (slug === 'claude') promise(withoutAccount(answerClaude(written, '/w', undefined)).endsWith('}\n'), 'settings that are none');
      secretsIn('auth.json', written);
    },
  });
};

const answering = (body: string, status: number, headers = {}) => async () => ({ status, headers, body });

const SERVER = { oauthHost: 'https://auth.example.test', headers: {} };
const SECRET = 'refresh-secret-that-is-quoted';

const askForToken = async (body: string): Promise<void> => {
  const { signal } = new AbortController();
  for (const status of [200, 400, 401, 429, 500]) {
    const outcome = await requestRefresh(answering(body, status, { 'retry-after': body.slice(0, 30), date: body.slice(0, 30) }), { ...SERVER, refreshToken: SECRET }, signal);
    if (outcome.kind === 'renewed') promise(outcome.token.accessToken !== '' && Number.isFinite(NOW.getTime() + outcome.token.expiresIn * 1000), 'a token that cannot be kept');
    else promise(isPlain(outcome.why) && !outcome.why.includes(SECRET), 'a message with a secret or control characters');
    if (outcome.kind === 'no answer' && outcome.afterMs !== undefined) promise(Number.isFinite(outcome.afterMs), 'a pause without end');
    serverSays({ status, headers: {}, body }, [SECRET]);
  }
  grantIn(body);
};

/** The clock of a login that waits for nothing. */
const logIn = async (body: string): Promise<void> => {
  let time = 0;
  const pass = async (ms: number): Promise<void> => {
    promise(ms >= 1000 || time + ms >= 15 * 60_000, `a pause of ${ms} ms`);
    time += ms;
  };
  await logInWithCode(answering(body, 200), SERVER, { now: () => time, sleep: pass, signal: new AbortController().signal, onCode: ({ userCode, url }) => promise(isPlain(userCode + url), 'a code with control characters') });
};

const kimiConfig = (text: string): void => {
  const parsed = parseKimiConfig(text);
  if ('broken' in parsed) return promise(!parsed.broken.includes('\n'), 'a reason of several lines');
  const { config } = parsed;
  for (const generation of ['kimi', 'kimi-code'] as const) {
    for (const found of [...listCredentials(config, generation), credentialInUse(config, generation)]) {
      if (found?.kind === 'slot') promise(isLoginPath(`credentials/${found.slot}.json`) || /\.lock$|\.tmp|^mcp$/.test(found.slot), 'a slot outside of the credentials');
      if (found?.kind === 'slot') promise(!/[/\\\0]/.test(found.slot), 'a slot that is a path');
    }
  }
  listAliases(config);
  const added = addKeyProvider(config, { baseUrl: 'https://x', model: 'm', contextSize: 1 });
  removeKeyProvider(added.config, added.previousDefault);
  printKimiConfig(added.config);
  promise('config' in parseKimiConfig(printKimiConfig(config)), 'a configuration that is printed is not read again');
  configWith(config, { baseUrl: 'https://x', oauthHost: 'https://y' }, []);
};

const kimiFiles = (config: Buffer): ReadonlyMap<string, Buffer> => new Map([['config.toml', config], ['credentials/kimi-code.json', Buffer.from(credential())]]);

const hostsAreSame = (one: HostsTable, other: HostsTable | undefined): boolean => isDeepStrictEqual(one, other);

const HOSTS = ['github.com:\n    git_protocol: https\n    users:\n        someone:\n            oauth_token: gho_fake\n    user: someone\n    oauth_token: gho_fake\n', 'github.com:\n    oauth_token: "gho_\\u0041"\n    user: x\nexample.test:\n    user: \'it\'\'s\'\n', '{}\n'];

export const LOGIN_TARGETS: readonly Target[] = [
  ...(['claude', 'codex', 'amp', 'opencode'] as const).map(judgeTarget),
  target({
    name: 'kimi-credential',
    covers: ['src/agents/kimi-login.ts', 'src/agents/kimi-token.ts'],
    form: 'json',
    seeds: () => [credential(), tombstone(), credential({ expiresAt: 0, refresh: '' })],
    allows: () => false,
    run: (input) => {
      const text = input.toString('utf8');
      const { state, account } = judgeCredential(text, NOW);
      promise(STATES.includes(state) && isPlain(account ?? ''), `an odd verdict: ${state}`);
      const token = parseToken(text);
      if (token !== undefined) promise(isDeepStrictEqual(parseToken(printToken(token)), token), 'a token that is printed is read as another one');
    },
  }),
  target({
    name: 'kimi-config.toml',
    covers: ['src/agents/kimi-config.ts', 'src/agents/kimi-derive.ts', 'src/agents/kimi-login.ts'],
    form: 'toml',
    seeds: () => [KIMI_CODE_CONFIG, KIMI_CLI_CONFIG],
    allows: () => false,
    run: (input) => {
      kimiConfig(input.toString('utf8'));
      const files = kimiFiles(input);
      for (const generation of ['kimi', 'kimi-code'] as const) promise(STATES.includes(judgeLogin(files, generation, NOW).state), 'an odd verdict');
      generationOf({ names: [], files }, 'kimi');
      for (const file of deriveKimiCode(files).keys()) promise(!file.split('/').includes('..') && !file.startsWith('/'), `a file outside of the home: ${file}`);
      secretsIn('config.toml', input.toString('utf8'));
    },
  }),
  target({
    name: 'oauth-answer',
    covers: ['src/auth/kimi-oauth.ts'],
    form: 'json',
    seeds: () => ['{"access_token":"a","refresh_token":"b","expires_in":900,"scope":"s","token_type":"Bearer"}', '{"error":"invalid_grant","error_description":"no"}', '{"error":{"message":"m","code":"c"}}', `{"message":"${SECRET}"}`, '<html>'],
    allows: () => false,
    run: (input) => askForToken(input.toString('utf8')),
  }),
  target({
    name: 'device-answer',
    covers: ['src/auth/kimi-device-login.ts'],
    form: 'json',
    seeds: () => [
      '{"user_code":"ABCD-1234","device_code":"d","verification_uri_complete":"https://example.test/x","interval":5,"expires_in":900}',
      '{"user_code":"A","device_code":"d","verification_uri_complete":"https://example.test/x","interval":1e9,"access_token":"a","refresh_token":"b","expires_in":900}',
    ],
    run: (input) => logIn(input.toString('utf8')),
  }),
  target({
    name: 'usage-answer',
    covers: ['src/agents/kimi-usage.ts'],
    form: 'json',
    seeds: () => [
      '{"usages":{"limit_5h":{"used_ratio":0.07,"reset_in":"60"},"limit_month_total":{"used_ratio":"0.5","reset_time":"2026-11-21T13:00:00Z"}},"boosterWallet":{"balance":{"type":"BOOSTER","amount":"1000000","amountLeft":"5"},"monthlyChargeLimitEnabled":true,"monthlyChargeLimit":{"priceInCents":"100","currency":"usd"}}}',
      '{"limits":[{"window":{"duration":300,"timeUnit":"TIME_UNIT_MINUTE"},"detail":{"used":"1","limit":"100","resetTime":"2026-11-21T13:00:00Z"}}],"usage":{"used":1,"limit":7,"ttl":5}}',
    ],
    allows: () => false,
    run: (input) => {
      const usage = parseUsage(input.toString('utf8'), NOW);
      for (const { name, used_percent: percent } of usage?.windows ?? []) promise(isPlain(name) && Number.isInteger(percent) && percent >= 0 && percent <= 100, `${percent} percent`);
      const { extra } = usage ?? {};
      if (extra) promise([extra.total_cents, extra.left_cents, extra.monthly_used_cents].every(Number.isFinite), 'an amount that is no number');
    },
  }),
  target({
    name: 'models-answer',
    covers: ['src/agents/kimi-models.ts'],
    form: 'json',
    seeds: () => ['{"data":[{"id":"kimi-for-coding","display_name":"Kimi","context_length":262144,"supports_reasoning":true,"supports_image_in":true,"supports_thinking_type":"only","efforts":{"valid":["low"],"default":"low"}}]}'],
    allows: () => false,
    run: (input) => {
      const parsed = parseModels(input.toString('utf8'));
      if ('broken' in parsed) return promise(isPlain(parsed.broken), 'a reason with control characters');
      const config = configWith({}, { baseUrl: 'https://x', oauthHost: 'https://y' }, parsed.models);
      promise('config' in parseKimiConfig(printKimiConfig(config)), 'a configuration that Kimi cannot read');
    },
  }),
  target({
    name: 'hosts.yml',
    covers: ['src/agents/github-login.ts', 'src/auth/secret-values.ts'],
    form: 'lines',
    seeds: () => HOSTS,
    allows: () => false,
    run: (input) => {
      const text = input.toString('utf8');
      secretsIn('hosts.yml', text);
      const hosts = parseHosts(text);
      if (hosts === undefined) return;
      const { user, token } = loginIn(hosts) ?? {};
      promise((token === undefined || isToken(token)) && isPlain(user ?? ''), 'a token that no header can hold');
      // A file right below the limit has no room for one more.
      if (text.length > 200_000) return;
      const mine = withLogin(hosts, { user: 'me', token: 'gho_x' });
      promise(loginIn(parseHosts(printHosts(mine)) ?? new Map())?.token === 'gho_x', 'a login that is printed is not read again');
      promise(hostsAreSame(mine, parseHosts(printHosts(mine))), 'hosts that are printed are read as others');
    },
  }),
];
