/**
 * A client that treats its login as Kimi Code 2.1 does: it reads the credential
 * file anew for every request, renews lazily at half life under the directory
 * lock, and writes a tombstone over a login that the server does not take any
 * more. Time comes in, so that a day of it is over in seconds.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { HttpAnswer, Send } from '../../src/auth/kimi-requests.ts';
import { SendError } from '../../src/auth/kimi-requests.ts';
import { CLIENT_ID } from './kimi-server.mjs';
import type { makeKimi } from './kimi-server.mjs';

const OAUTH_HOST = 'http://kimi.test';
const LOCK_STALE_MS = 5000;
const LOCK_TRIES = 120;
const ATTEMPTS = 3;
const NOBODY = new AbortController().signal;

interface ClientOptions {
  /** A Kimi directory. Links on the way to it are followed each time. */
  home: string;
  send: Send;
  /** Unix time in seconds. */
  now: () => number;
  sleep: (seconds: number) => Promise<void>;
}

interface Credential {
  access_token: string;
  refresh_token: string;
  expires_at: number;
  scope: string;
  token_type: string;
  expires_in: number;
}

export interface KimiClient {
  /** One request for a chat. Why it failed, or undefined when it did not. */
  ask: () => Promise<string | undefined>;
  /** Whether it has written a tombstone over its login. */
  isLoggedOut: () => Promise<boolean>;
}

const identity = (deviceId: string): Record<string, string> => ({
  'user-agent': 'kimi-code-cli/2.1.0',
  'x-msh-platform': 'kimi_code_cli',
  'x-msh-version': '2.1.0',
  'x-msh-device-name': 'fake',
  'x-msh-device-model': 'Linux 6.1 x64',
  'x-msh-os-version': '6.1',
  'x-msh-device-id': deviceId,
});

const parse = (text: string): Credential => {
  const empty: Credential = { access_token: '', refresh_token: '', expires_at: 0, scope: '', token_type: '', expires_in: 0 };
  try {
    return { ...empty, ...(JSON.parse(text) as Partial<Credential>) };
  } catch {
    return empty;
  }
};

/** The lock is the file system's, and so is its time: other processes judge it by theirs. */
const underLock = async <T>(home: string, slot: string, sleep: ClientOptions['sleep'], work: () => Promise<T>): Promise<T> => {
  const lock = path.join(home, 'oauth', `${slot}.lock`);
  await mkdir(path.dirname(lock), { recursive: true });
  for (let tries = 0; ; tries += 1) {
    const taken = await mkdir(lock).then(() => true, () => false);
    if (taken) break;
    if (tries === LOCK_TRIES) throw new Error('the lock cannot be taken');
    const found = await stat(lock).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > LOCK_STALE_MS) await rmdir(lock).catch(() => undefined);
    else await sleep(0.5);
  }
  try {
    return await work();
  } finally {
    await rmdir(lock).catch(() => undefined);
  }
};

export const makeKimiClient = ({ home, send, now, sleep }: ClientOptions): KimiClient => {
  const place = async () => {
    const dir = path.join(home, 'credentials');
    const name = (await readdir(dir)).find((file) => file.endsWith('.json')) ?? 'kimi-code.json';
    return { file: path.join(dir, name), slot: name.replace(/\.json$/, '') };
  };
  const read = async (): Promise<Credential> => parse(await readFile((await place()).file, 'utf8').catch(() => ''));
  const write = async (credential: Credential): Promise<void> => {
    const { file } = await place();
    const temporary = `${file}.tmp.${process.pid}.${randomBytes(4).toString('hex')}`;
    await writeFile(temporary, JSON.stringify(credential), { mode: 0o600 });
    await rename(temporary, file);
  };
  const deviceId = (): Promise<string> => readFile(path.join(home, 'device_id'), 'utf8');

  const isDue = ({ expires_at, expires_in }: Credential): boolean => {
    if (expires_at === 0) return false;
    return expires_at - now() < (expires_in > 0 ? Math.max(300, expires_in / 2) : 300);
  };

  const requestToken = async (refreshToken: string): Promise<HttpAnswer> => {
    const form = { client_id: CLIENT_ID, grant_type: 'refresh_token', refresh_token: refreshToken };
    const headers = { ...identity(await deviceId()), 'content-type': 'application/x-www-form-urlencoded' };
    for (let attempt = 1; ; attempt += 1) {
      const request = { method: 'POST', url: `${OAUTH_HOST}/api/oauth/token`, headers, body: new URLSearchParams(form).toString(), timeoutMs: 30_000 } as const;
      const answer = await send(request, NOBODY).catch((error: unknown) => String(error));
      const isTransient = typeof answer === 'string' || [429, 500, 502, 503, 504].includes(answer.status);
      if (!isTransient) return answer;
      if (attempt === ATTEMPTS) throw new Error(typeof answer === 'string' ? answer : `HTTP ${answer.status}`);
      await sleep(attempt);
    }
  };

  const renew = async (forced: boolean): Promise<Credential> => {
    const before = await read();
    const { slot } = await place();
    return underLock(home, slot, sleep, async () => {
      let credential = await read();
      const isPeers = credential.access_token !== before.access_token;
      if (isPeers || (!forced && !isDue(credential))) return credential;
      for (;;) {
        const { status, body } = await requestToken(credential.refresh_token);
        if (status === 200) {
          const pair = JSON.parse(body) as Omit<Credential, 'expires_at'>;
          const fresh = { ...credential, ...pair, expires_at: Math.floor(now()) + pair.expires_in };
          await write(fresh);
          return fresh;
        }
        await sleep(0.1);
        const again = await read();
        if (again.refresh_token === '' || again.refresh_token === credential.refresh_token) {
          await write({ ...credential, access_token: '', refresh_token: '', expires_at: 0, expires_in: 0 });
          throw new Error('refused: logged out');
        }
        credential = again;
      }
    });
  };

  const chat = async (token: string): Promise<number> => {
    const headers = { ...identity(await deviceId()), 'content-type': 'application/json', authorization: `Bearer ${token}` };
    const body = JSON.stringify({ model: 'kimi-for-coding', stream: true, messages: [{ role: 'user', content: 'hello' }] });
    const { status } = await send({ method: 'POST', url: `${OAUTH_HOST}/coding/v1/chat/completions`, headers, body, timeoutMs: 30_000 }, NOBODY);
    return status;
  };

  const askOnce = async (): Promise<void> => {
    let credential = await read();
    if (credential.access_token === '') throw new Error('not logged in');
    const mustRenew = isDue(credential);
    if (mustRenew && credential.refresh_token === '') throw new Error('no refresh token');
    if (mustRenew) credential = await renew(false);
    let status = await chat(credential.access_token);
    if (status === 401 && credential.refresh_token !== '') status = await chat((await renew(true)).access_token);
    if (status !== 200) throw new Error(`HTTP ${status}`);
  };

  return {
    ask: () => askOnce().then(() => undefined, (error: unknown) => (error as Error).message),
    isLoggedOut: async () => (await read()).access_token === '',
  };
};

/** Reaches a fake server in the same process. What takes time takes it from `pass`. */
export const sendTo = (kimi: ReturnType<typeof makeKimi>, pass: (seconds: number) => void = () => undefined): Send =>
  async ({ method, url, headers, body = '', timeoutMs }) => {
    const names = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const { pathname, host } = new URL(url);
    const answer = kimi.answer({ method, path: pathname, headers: { host, ...names }, body });
    const delay = answer.delay ?? 0;
    pass(Math.min(delay, timeoutMs / 1000));
    if (delay * 1000 > timeoutMs) throw new SendError('no answer in time', true);
    if (answer.broken) throw new SendError('the connection ended', true);
    return { status: answer.status, headers: answer.headers, body: answer.body };
  };
