import { defaultModelOf, listAliases } from '../agents/kimi-config.ts';
import { KIMI_REGIONS, type KimiHosts, type KimiRegion } from '../agents/kimi-hosts.ts';
import { judgeLogin } from '../agents/kimi-login.ts';
import type { LoginState } from '../agents/login-facts.ts';
import { listOwnLogins, type OwnLogin, ownLoginDir, readOwnLogin } from '../auth/own-login.ts';
import { isoTime } from '../auth/source.ts';
import { removeOwnLogin, withLoginsLock } from '../auth/write-own-login.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { holdersOf } from '../keeper/holders.ts';
import { endOf, forgetLoginNote, type LoginNote, readLoginNote } from '../keeper/login-note.ts';
import { asDiskError } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import type { Deps } from './deps.ts';

/** One of jackin's own logins as it is on the disk. Plain JSON, without a secret. */
export interface OwnLoginView {
  /** What the command line calls it, such as `kimi:work`. */
  login: string;
  /** Who it is at Kimi, where the token tells. */
  account: string | null;
  /** Null: other hosts than Kimi's own. */
  region: KimiRegion | null;
  oauth_host: string | null;
  base_url: string | null;
  /** `ended`: the server takes it no more; `dead`: its files make no sense. */
  state: LoginState | 'ended';
  why: string;
  /** End of the access token, ISO 8601. */
  access_until: string | null;
  refreshed_at: string | null;
  /** Containers that hold a lease of it. */
  holders: string[];
  default_model: string | null;
  models: string[];
  dir: string;
}

const regionOf = ({ oauthHost, baseUrl }: KimiHosts): KimiRegion | null =>
  (Object.keys(KIMI_REGIONS) as KimiRegion[]).find((name) => KIMI_REGIONS[name].oauthHost === oauthHost && KIMI_REGIONS[name].baseUrl === baseUrl) ?? null;

const stateOf = (login: OwnLogin, note: LoginNote, now: Date): Pick<OwnLoginView, 'account' | 'state' | 'why' | 'access_until'> => {
  const { account, state, why, expiresAt } = judgeLogin(login.files, 'kimi-code', now);
  const facts = { account: account ?? null, access_until: isoTime(expiresAt).expiresAt ?? null };
  const ended = login.token && endOf(note, login.token);
  return ended === undefined ? { ...facts, state, why } : { ...facts, state: 'ended', why: `The server does not renew it any more: ${ended.why}.` };
};

const describe = async (paths: Paths, account: string, deps: Deps): Promise<OwnLoginView> => {
  const note = await readLoginNote(paths, account);
  const common = { login: `kimi:${account}`, refreshed_at: note.refreshed_at, holders: await holdersOf(paths, account), dir: ownLoginDir(paths.loginsDir, account) };
  try {
    const login = await readOwnLogin(paths.loginsDir, account, deps.uid);
    const { oauthHost: oauth_host, baseUrl: base_url, config } = login;
    const models = listAliases(config).map(({ alias }) => alias);
    return { ...common, ...stateOf(login, note, deps.now()), region: regionOf(login), oauth_host, base_url, default_model: defaultModelOf(config) ?? null, models };
  } catch (error) {
    // One that is broken must not hide the others.
    if (!(error instanceof JackinError) || error.code === 'not-found') throw error;
    const unknown = { account: null, region: null, oauth_host: null, base_url: null, access_until: null, default_model: null, models: [] };
    return { ...common, ...unknown, state: 'dead', why: error.message };
  }
};

/** All of jackin's own logins. Asks neither a server nor the keeper. */
export const describeOwnLogins = async (deps: Deps): Promise<OwnLoginView[]> => {
  const paths = locatePaths(deps);
  const views: OwnLoginView[] = [];
  for (const account of await listOwnLogins(paths.loginsDir)) {
    try {
      views.push(await describe(paths, account, deps));
    } catch (error) {
      // Another jackin has removed it since the logins were listed.
      if (!(error instanceof JackinError && error.code === 'not-found')) throw error;
    }
  }
  return views;
};

/** One of them; `not-found` when there is none of that name. */
export const describeOwnLogin = (account: string, deps: Deps): Promise<OwnLoginView> => describe(locatePaths(deps), account, deps);

/** Removes a login from this machine; the server hears nothing of it. `conflict` while containers hold it, unless forced. */
export const forgetOwnLogin = async (account: string, force: boolean, deps: Deps): Promise<OwnLoginView> => {
  const paths = locatePaths(deps);
  return withLoginsLock(paths.loginsDir, async () => {
    const view = await describe(paths, account, deps);
    if (view.holders.length > 0 && !force) {
      throw new JackinError('conflict', `${view.login} is in use by ${view.holders.join(', ')}`, {
        hint: `purge them, or remove it all the same with \`jackin logins remove ${account} --force\`: they then work until the access token ends`,
      });
    }
    try {
      await removeOwnLogin(paths.loginsDir, account);
      await forgetLoginNote(paths, account);
    } catch (error) {
      throw asDiskError(error, `removing ${view.dir}`);
    }
    return view;
  });
};
