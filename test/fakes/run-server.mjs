// What every fake server does as a program of its own: its configuration comes
// in, it listens, and it stops by itself.
//
//   node <agent>-server.mjs [--config FILE|-] [--listen ADDRESS:PORT] [--ttl SECONDS]
//
// Secrets come in through the file (0600) or stdin, never argv. Node built-ins
// only: the tests run these very files inside a container.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';

/** First 12 hex digits of SHA-256: enough to compare, useless to an eavesdropper. */
export const fingerprint = (/** @type {string} */ secret) =>
  createHash('sha256').update(secret).digest('hex').slice(0, 12);

const readConfig = (/** @type {string | undefined} */ file) => {
  if (file === undefined) return {};
  if (file === '-') return JSON.parse(readFileSync(0, 'utf8'));
  if (statSync(file).mode & 0o077) throw new Error(`${file} holds credentials and can be read by others; it must be 0600`);
  return JSON.parse(readFileSync(file, 'utf8'));
};

/**
 * Runs a server as a program of its own, until its time is over or it is told to stop.
 * @param {(options: any) => import('node:http').Server} create
 */
export const runFakeServer = (create) => {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      listen: { type: 'string', default: '127.0.0.1:0' },
      ttl: { type: 'string', default: '900' },
    },
  });
  const print = (/** @type {unknown} */ value) => process.stdout.write(`${JSON.stringify(value)}\n`);
  const server = create({ ...readConfig(values.config), record: print });
  // Sockets that are open would keep the program, and nobody has a use for them.
  const stop = () => process.exit(0);
  setTimeout(stop, Number(values.ttl) * 1000);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  const [, address, port] = /^(.*):(\d+)$/.exec(values.listen) ?? [];
  if (!address) throw new Error(`--listen takes ADDRESS:PORT, not ${values.listen}`);
  server.listen(Number(port), address, () => {
    const bound = /** @type {import('node:net').AddressInfo} */ (server.address());
    print({ listening: `http://${bound.address}:${bound.port}` });
  });
};
