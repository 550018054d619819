import { setTimeout as sleep } from 'node:timers/promises';
import type { KimiConfig } from '../agents/kimi-config.ts';
import { KIMI_REGIONS, type KimiHosts, type KimiRegion } from '../agents/kimi-hosts.ts';
import { configWith, USUAL_MODEL } from '../agents/kimi-models.ts';
import type { KimiToken } from '../agents/kimi-token.ts';
import { type DeviceCode, logInWithCode } from '../auth/kimi-device-login.ts';
import { createSend } from '../auth/kimi-http.ts';
import { identityHeaders, readMachineFacts } from '../auth/kimi-identity.ts';
import { requestModels } from '../auth/kimi-models-request.ts';
import { type OwnLogin, ownLoginDir, readOwnLogin } from '../auth/own-login.ts';
import { createOwnLogin, newDeviceId, type NewLogin, replaceGrant, withLoginsLock } from '../auth/write-own-login.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { withKimiLock } from '../keeper/kimi-lock.ts';
import { asDiskError, nodeFs, unlessMissing } from '../shared/atomic-files.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { Deps } from './deps.ts';
import { writeModels } from './kimi-models.ts';
import { describeOwnLogin, type OwnLoginView } from './own-logins.ts';

/** Makes a login of jackin's own, or gives one that is there a new grant. */

export interface LoginRequest {
  account: string;
  region: KimiRegion | undefined;
}

export interface LoggedIn {
  login: OwnLoginView;
  /** Why the list of models is the one that every account has; null when the server gave it. */
  models_missing: string | null;
}

const hostIn = (env: Deps['env'], ...names: string[]): string | undefined => {
  const name = names.find((each) => env[each]?.trim());
  if (name === undefined) return undefined;
  const url = env[name]?.trim().replace(/\/+$/, '') ?? '';
  // It is kept, handed out and shown. A password in it would be as well; after a query no path could follow.
  if (/^https?:\/\/[^\s@?#]+$/.test(url) && URL.canParse(url)) return url;
  throw new JackinError('usage', `${name} is not the address of a server`, { hint: `give it as https://..., without a password or a query, or unset ${name}` });
};

/** Where to log in: what the environment says, as for Kimi itself, else the region, else where the login has been so far. */
export const hostsFor = (env: Deps['env'], region: KimiRegion | undefined, old: KimiHosts | undefined): KimiHosts => {
  const usual = region === undefined ? (old ?? KIMI_REGIONS['mainland-cn']) : KIMI_REGIONS[region];
  return {
    oauthHost: hostIn(env, 'KIMI_CODE_OAUTH_HOST', 'KIMI_OAUTH_HOST') ?? usual.oauthHost,
    baseUrl: hostIn(env, 'KIMI_CODE_BASE_URL') ?? usual.baseUrl,
  };
};

/** What is there under the name; undefined when nothing is, or nothing that could be read. */
const readOld = async (paths: Paths, account: string, uid: number): Promise<OwnLogin | undefined> => {
  try {
    return await readOwnLogin(paths.loginsDir, account, uid);
  } catch (error) {
    if (error instanceof JackinError && (error.code === 'not-found' || error.code === 'auth.dead')) return undefined;
    throw error;
  }
};

/** A link would lead the new grant into another directory, such as that of the host's own Kimi. */
const assertOwnPlace = async (dir: string): Promise<boolean> => {
  const info = await unlessMissing(nodeFs.lstat(dir));
  if (info?.isDirectory() === false) throw new JackinError('conflict', `${dir} is no directory, so no login can be there`, { hint: 'move it away, or choose another name with --account' });
  return info !== undefined;
};

/** The grant is good only once: from here to the disk nothing may come in between that is not needed. */
const keepGrant = async (paths: Paths, account: string, login: Omit<NewLogin, 'config'>, { uid, signal }: Deps): Promise<void> => {
  const dir = ownLoginDir(paths.loginsDir, account);
  const old = await readOld(paths, account, uid);
  const sameHosts = old?.oauthHost === login.oauthHost && old.baseUrl === login.baseUrl;
  const config: KimiConfig = old !== undefined && sameHosts ? old.config : configWith(old?.config ?? {}, login, [USUAL_MODEL]);
  if (!(await assertOwnPlace(dir))) {
    await createOwnLogin(paths.loginsDir, account, { ...login, config });
    return;
  }
  // A keeper that is renewing the old grant would else write its pair over the new one.
  const replace = (): Promise<void> => replaceGrant(dir, { ...login, config });
  await (old === undefined ? replace() : withKimiLock(dir, old.slot, replace, signal));
};

/** Logs in with a code that `onCode` shows to a person. Until there is a new grant, nothing is written. */
export const logInKimi = async ({ account, region }: LoginRequest, onCode: (code: DeviceCode) => void, deps: Deps): Promise<LoggedIn> => {
  const paths = locatePaths(deps);
  await assertOwnPlace(ownLoginDir(paths.loginsDir, account));
  const old = await readOld(paths, account, deps.uid);
  const hosts = hostsFor(deps.env, region, old);
  const deviceId = old?.deviceId || newDeviceId();
  const headers = identityHeaders({ ...(await readMachineFacts()), deviceId });
  const send = createSend(deps.env);
  const now = (): number => deps.now().getTime();
  const waiting = { now, sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }), signal: deps.signal, onCode };
  const grant = await logInWithCode(send, { oauthHost: hosts.oauthHost, headers }, waiting);
  const token: KimiToken = { ...grant, expiresAt: Math.floor(now() / 1000) + grant.expiresIn };
  try {
    await withLoginsLock(paths.loginsDir, () => keepGrant(paths, account, { ...hosts, deviceId, token }, deps));
  } catch (error) {
    throw asDiskError(error, `keeping the login in ${ownLoginDir(paths.loginsDir, account)}`);
  }
  let missing: string | null = null;
  try {
    const models = await requestModels(send, { baseUrl: hosts.baseUrl, accessToken: token.accessToken, headers }, deps.signal);
    await writeModels(paths, account, models, deps.uid);
  } catch (error) {
    missing = messageOf(error);
  }
  return { login: await describeOwnLogin(account, deps), models_missing: missing };
};
