import { type KimiConfig, MANAGED_PROVIDER } from '../agents/kimi-config.ts';
import { KIMI_REGIONS } from '../agents/kimi-hosts.ts';
import { judgeLogin, slotFile } from '../agents/kimi-login.ts';
import { tableOf, textOf } from '../agents/judge.ts';
import { parseToken } from '../agents/kimi-token.ts';
import { type KimiUsage, parseUsage } from '../agents/kimi-usage.ts';
import { createSend } from '../auth/kimi-http.ts';
import { serverSays } from '../auth/kimi-oauth.ts';
import { type HttpAnswer, type Send, SendError } from '../auth/kimi-requests.ts';
import { readLogin } from '../auth/read-login.ts';
import type { AuthDecision } from '../config/resolve-auth.ts';
import { freshLogin } from '../keeper/fresh-login.ts';
import { JackinError } from '../shared/errors.ts';
import { deciderOf, type Decider } from './auth-status-key.ts';
import type { Deps } from './deps.ts';
import { sourceOptions } from './facts.ts';
import { kimiLoginHere } from './login-here.ts';
import type { Choose } from './place.ts';
import { trimTail } from '../shared/trim.ts';

const TIMEOUT_MS = 8000;

/** How much of a Kimi account's quotas is used, and whose it is. */
export interface UsageReport extends KimiUsage {
  /** Login of jackin's own; null: the host's. */
  login: string | null;
  /** Who decided on the login; null: nobody. */
  decided_by: Decider | null;
  dir: string;
  account: string | null;
}

/** What is sent, and where to; holds a secret. */
interface Asked {
  baseUrl: string;
  secret: string;
  dir: string;
  account: string | null;
  /** What to do when the server does not take it. */
  remedy: string;
}

const OWN_INSTEAD = 'or use a login of jackin’s own: `jackin login kimi`, then --login';

const askedOfOwn = async (name: string, deps: Deps): Promise<Asked> => {
  const { baseUrl, token, dir, files } = await freshLogin(name, deps);
  const remedy = `log in again with \`jackin login kimi --account ${name}\``;
  if (token === undefined) throw new JackinError('auth.dead', `the login ${name} of jackin's own holds no token`, { hint: remedy });
  return { baseUrl, secret: token.accessToken, dir, account: judgeLogin(files, 'kimi-code', deps.now()).account ?? null, remedy };
};

/** Undefined for another provider that names no address: its key must not go to Kimi. */
const baseUrlOf = (config: KimiConfig, provider: string): string | undefined =>
  textOf(tableOf(tableOf(config, 'providers'), provider), 'base_url') ?? (provider === MANAGED_PROVIDER ? KIMI_REGIONS['mainland-cn'].baseUrl : undefined);

/** The host's login as it is: read, never renewed, since that would log out whoever else holds it. */
const askedOfHost = async ({ sourceDir }: AuthDecision, deps: Deps): Promise<Asked> => {
  const { facts, set } = await readLogin('kimi', { ...sourceOptions(deps, deps.now()), sourceDir: sourceDir?.value });
  const remedy = `start kimi once on the host, so that it renews its login, ${OWN_INSTEAD}`;
  if (facts.state === 'expired-refreshable') throw new JackinError('auth.dead', `the access of the Kimi login in ${facts.dir} ended ${facts.expiresAt}, and jackin does not renew the host's logins`, { hint: remedy });
  const files = new Map(set?.files.map((file) => [file.path, file.bytes]));
  const { credential, config } = judgeLogin(files, facts.generation ?? 'kimi-code', deps.now());
  const text = credential?.kind === 'slot' ? files.get(slotFile(credential.slot))?.toString('utf8') : undefined;
  const secret = credential?.kind === 'key' ? credential.key : text === undefined ? undefined : parseToken(text)?.accessToken;
  const baseUrl = credential && baseUrlOf(config, credential.provider);
  if (baseUrl === undefined || secret === undefined) {
    const hint = `log in with \`kimi login\` on the host, ${OWN_INSTEAD}`;
    throw new JackinError(facts.state === 'dead' ? 'auth.dead' : 'auth.missing', `there is no Kimi login to ask with: ${facts.why.replace(/\.$/, '')}`, { hint });
  }
  return { baseUrl, secret, dir: facts.dir, account: facts.account ?? null, remedy };
};

/** Authorization alone: what else Kimi Code says of the machine would be the device of another login. */
const request = async (send: Send, { baseUrl, secret, dir }: Asked, signal: AbortSignal): Promise<HttpAnswer> => {
  const url = `${trimTail(baseUrl, '/')}/usages`;
  // The address itself is not shown: one that is mistyped may hold a password.
  if (!/^https?:/.test(url) || !URL.canParse(url)) throw new JackinError('failed', `the base_url of the Kimi provider in ${dir} is no address of a server`);
  try {
    return await send({ method: 'GET', url, headers: { Authorization: `Bearer ${secret}`, Accept: 'application/json' }, timeoutMs: TIMEOUT_MS }, signal);
  } catch (error) {
    if (!(error instanceof SendError)) throw error;
    if (signal.aborted) throw new JackinError('interrupted', 'asking for the usage: interrupted');
    throw new JackinError('failed', `${new URL(url).host} does not answer: ${error.message}`, { hint: 'try again; HTTPS_PROXY names a proxy' });
  }
};

const refused = (answer: HttpAnswer, { secret, remedy }: Asked): JackinError => {
  const said = serverSays(answer, [secret]);
  if (answer.status === 401) return new JackinError('auth.dead', `Kimi does not take this login: ${said}`, { hint: remedy });
  if (answer.status === 404) return new JackinError('failed', `this account has no coding plan, so there is no usage to show: ${said}`);
  return new JackinError('failed', `Kimi does not tell the usage: ${said}`, { hint: 'try again later' });
};

/**
 * Asks Kimi how much of its quotas is used. `login`: one of jackin's own, renewed by the
 * keeper where that is due; else what a launch from here would use. Changes no login of
 * the host. Throws `auth.dead` and `auth.missing`, `not-found`, and `failed` when the
 * server gives no usage.
 */
export const gatherUsage = async (login: string | undefined, choose: Choose, deps: Deps): Promise<UsageReport> => {
  const decision = await kimiLoginHere(login, choose, 'jackin usage kimi --login NAME', deps);
  // In another mode than sync no login is used, and the host's own is told of.
  const own = decision.mode.value === 'sync' ? decision.login : undefined;
  const asked = own === undefined ? await askedOfHost(decision, deps) : await askedOfOwn(own.value, deps);
  const answer = await request(createSend(deps.env), asked, deps.signal);
  if (answer.status !== 200) throw refused(answer, asked);
  const usage = parseUsage(answer.body, deps.now());
  if (usage === undefined) throw new JackinError('failed', 'Kimi’s answer holds no usage that jackin understands', { hint: 'a newer jackin may; `/usage` in Kimi shows it' });
  const decider = own ?? decision.sourceDir;
  return { login: own?.value ?? null, decided_by: decider === undefined ? null : deciderOf(decider.origin), dir: asked.dir, account: asked.account, ...usage };
};
