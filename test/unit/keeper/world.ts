import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { printToken, type KimiToken } from '../../../src/agents/kimi-token.ts';
import type { HttpRequest, Send } from '../../../src/auth/kimi-requests.ts';
import { identityHeaders } from '../../../src/auth/kimi-identity.ts';
import { type OwnLogin, ownLoginDir, readOwnLogin } from '../../../src/auth/own-login.ts';
import { locatePaths, type Paths } from '../../../src/config/paths.ts';
import type { RenewWorld } from '../../../src/keeper/renew.ts';
import { sendTo } from '../../fakes/kimi-client.ts';
import { makeKimi, newToken, type ServerOptions } from '../../fakes/kimi-server.mjs';
import { KIMI_CODE_CONFIG, NOW, writeFiles } from '../../fixtures/kimi/login.ts';

export const UID = process.getuid?.() ?? 0;
export const LIFE = 900;
const DEVICE = 'device-of-work';

/** Times in milliseconds that a test moves by hand. */
export interface Clock {
  wall: number;
  elapsed: number;
}

/** Lets time pass, for both clocks. */
export const pass = (clock: Clock, seconds: number): void => {
  clock.wall += seconds * 1000;
  clock.elapsed += seconds * 1000;
};

/** A login of jackin's own in a home of its own, and the server that knows it. Time stands still until a test moves it. */
export const makeLoginWorld = async (root: string, options: Omit<ServerOptions, 'logins' | 'now'> = {}) => {
  const paths: Paths = locatePaths({ env: { JACKIN_HOME_DIR: path.join(root, 'jackin') }, home: root });
  const clock: Clock = { wall: NOW.getTime(), elapsed: 0 };
  const first: KimiToken = {
    accessToken: newToken('fake-account', clock.wall / 1000 + LIFE),
    refreshToken: newToken('fake-refresh', clock.wall / 1000 + 86_400),
    expiresAt: clock.wall / 1000 + LIFE,
    expiresIn: LIFE,
    scope: 'kimi-code',
    tokenType: 'Bearer',
  };
  const kimi = makeKimi({
    ...options,
    expiresIn: options.expiresIn ?? LIFE,
    now: () => clock.wall / 1000,
    logins: [{ subject: 'fake-account', deviceId: DEVICE, accessToken: first.accessToken, refreshToken: first.refreshToken, expiresAt: first.expiresAt }],
  });
  const dir = ownLoginDir(paths.loginsDir, 'work');
  const file = path.join(dir, 'credentials/kimi-code.json');
  await writeFiles(dir, { 'config.toml': KIMI_CODE_CONFIG, device_id: DEVICE, 'credentials/kimi-code.json': printToken(first) });
  await mkdir(paths.dataDir, { recursive: true });
  const sent: string[] = [];
  const toKimi = sendTo(kimi, (seconds) => pass(clock, seconds));
  const send: Send = (request: HttpRequest, signal) => {
    sent.push(new URLSearchParams(request.body ?? '').get('refresh_token') ?? '');
    return toKimi(request, signal);
  };
  const world: RenewWorld = {
    loginsDir: paths.loginsDir,
    keeperDir: paths.keeperDir,
    uid: UID,
    now: () => clock.wall,
    send,
    identity: (deviceId) => identityHeaders({ deviceId, hostname: 'host', osType: 'Linux', osRelease: '6.1', arch: 'x64' }),
    signal: new AbortController().signal,
  };
  return {
    paths, clock, kimi, dir, file, first, world,
    /** Every refresh token that was sent, in order. */
    sent,
    login: (): Promise<OwnLogin> => readOwnLogin(paths.loginsDir, 'work', UID),
    /** Whether the server takes the access token that is on the disk. */
    works: async (): Promise<boolean> => {
      const { token } = await readOwnLogin(paths.loginsDir, 'work', UID);
      const answer = kimi.answer({ method: 'GET', path: '/coding/v1/models', headers: { authorization: `Bearer ${token?.accessToken}` }, body: '' });
      return answer.status === 200;
    },
  };
};

export type LoginWorld = Awaited<ReturnType<typeof makeLoginWorld>>;
