import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { createKimiServer, makeKimi, type RequestEntry, type ServerOptions } from '../fakes/kimi-server.mjs';

/** A Kimi of this test's own, and the environment that sends a login to it. */
export interface OwnKimi {
  url: string;
  env: Record<string, string>;
  /** What was asked, such as `GET /coding/v1/models`. */
  asked: () => string[];
  kimi: ReturnType<typeof makeKimi>;
}

/** Starts a fake Kimi server; polls of a device login are granted at once unless the options say otherwise. */
export const startKimi = async (options: ServerOptions = {}): Promise<OwnKimi> => {
  const entries: RequestEntry[] = [];
  const all: ServerOptions = { device: { polls: [] }, ...options, record: (entry: RequestEntry) => void entries.push(entry) };
  const kimi = makeKimi(all);
  const server = createKimiServer(all, kimi);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const url = `http://127.0.0.1:${address.port}`;
  return {
    url,
    kimi,
    env: { KIMI_CODE_OAUTH_HOST: url, KIMI_CODE_BASE_URL: `${url}/coding/v1` },
    asked: () => entries.map(({ method, path }) => `${method} ${path}`),
  };
};
