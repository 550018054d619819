import { homedir } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { locatePaths } from './config/paths.ts';
import { runKeeper } from './keeper/run-keeper.ts';
import { messageOf } from './shared/errors.ts';

/**
 * The keeper as launches start it: a program of its own, since the command line's
 * parser alone would take a tenth of the memory that it may have. It writes its log to
 * stderr and ends by itself when nobody holds a login any more.
 */
// Code that runs once in some minutes need not be fast, and what compiles it takes a sixth of the memory.
for (const flag of ['--no-opt', '--no-sparkplug', '--no-maglev']) setFlagsFromString(flag);

const { env } = process;
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
// A terminal that is closed is none of its business.
process.on('SIGHUP', () => undefined);
// A log that cannot be written, on a full disk above all, is not worth the logins: it goes on without.
process.stderr.on('error', () => undefined);

const log = (line: string): void => void process.stderr.write(`${new Date().toISOString()} ${line.replaceAll(/\p{Cc}/gu, '\ufffd')}\n`);

try {
  const paths = locatePaths({ env, home: env['HOME'] || homedir() });
  await runKeeper({ paths, env, uid: process.getuid?.() ?? 0, untilIdle: true, log, signal: stop.signal });
  process.exit(0);
} catch (error) {
  log(messageOf(error));
  process.exit(1);
}
