/** Texts whose end has to be looked for: each of these would take minutes where every character is a place to begin. */
import { performance } from 'node:perf_hooks';
import { expect, it } from 'vitest';
import { judgeLogin } from '../../../src/agents/kimi-login.ts';
import { secretsIn } from '../../../src/auth/secret-values.ts';
import { migrateText } from '../../../src/config/migrate.ts';
import { touches } from '../../../src/config/values.ts';
import { traceReader } from '../../../src/docker/buildkit-trace.ts';
import { substituteConstruct } from '../../../src/docker/dockerfile.ts';
import { directivesOf, parseDockerfile } from '../../../src/docker/dockerfile-parse.ts';
import { oursAmong } from '../../../src/docker/dockerfile-rules.ts';
import { isSameSource } from '../../../src/roles/source.ts';
import { trimTail } from '../../../src/shared/trim.ts';

/** Quadratic, this takes well over ten seconds. */
const MANY = 200_000;
const SOON_MS = 4000;

const blanks = ' '.repeat(MANY);
const slashes = '/'.repeat(MANY);

/** Lines of a Dockerfile that may be built. */
const dockerfile = (text: string): number => substituteConstruct(`${text}\nFROM projectjackin/construct:trixie\n`, 'Dockerfile', 'x').split('\n').length;

const refusal = (text: string): string => {
  try {
    return substituteConstruct(text, 'Dockerfile', 'x');
  } catch (error) {
    return (error as Error).message;
  }
};

it.each<[string, () => unknown, unknown]>([
  ['a key of a credential file', () => secretsIn('auth.json', JSON.stringify({ [`token${'('.repeat(MANY)}x`]: 'fake-secret-of-some-length' })), []],
  ['a key of a credential file that is broken', () => secretsIn('auth.json', `{"access_token${'('.repeat(MANY)}: "`), []],
  ['a line of a Dockerfile', () => parseDockerfile(`RUN a${blanks}b`, 'Dockerfile').length, 1],
  ['a line of a Dockerfile with returns', () => parseDockerfile(`RUN a${'\r'.repeat(MANY)}b`, 'Dockerfile').length, 1],
  ['a directive of a Dockerfile', () => directivesOf(`# escape=a${blanks}b`).length, 1],
  ['a volume', () => oursAmong([`/x${slashes}y`]), undefined],
  ['a variable of a Dockerfile without a value', () => dockerfile(`ARG ${'a'.repeat(MANY)}`), 3],
  ['variables of a Dockerfile that are never closed', () => refusal(`FROM ${'${a:-'.repeat(MANY / 5)}`), expect.stringContaining('the final FROM is')],
  ['mounts of a Dockerfile in one word', () => dockerfile(`RUN ${'--mount='.repeat(MANY / 4)}`), 3],
  ['texts in a Dockerfile', () => parseDockerfile('RUN <<a\na\n'.repeat(MANY / 4), 'Dockerfile').length, MANY / 4],
  ['the address of a role', () => isSameSource(`https://x${slashes}y`, 'https://x'), false],
  ['the address in a config.toml of Kimi', () => judgeLogin(new Map([['config.toml', Buffer.from(`[providers."managed:kimi-code"]\nbase_url = "https://x${slashes}y"\n[providers."managed:kimi-code".oauth]\nkey = "k"\n`)]]), 'kimi-code', new Date()).state, 'absent'],
  ['a mount of a workspace', () => touches(`/w${slashes}y`, '/x'), false],
  ['a configuration that is migrated', () => migrateText('/c/config.toml', 'config', `[workspaces.w]\nworkdir = "/w"\nmounts = [{ src = "/w", dst = "/w" }]\n${'\n'.repeat(MANY)}[kimi]\nauth_forward = "sync"\n`), expect.anything()],
  ['a build that tells much at once', () => traceReader(() => undefined).take(Buffer.alloc(MANY, Buffer.from([0x08, 0x01])).toString('base64')), undefined],
])('takes no time for long: %s', (_what, work, expected) => {
  const start = performance.now();
  const result = work();
  expect(performance.now() - start).toBeLessThan(SOON_MS);
  expect(result).toEqual(expected);
});

it('takes the tail off a text, and nothing else', () => {
  expect([trimTail('/a//b//', '/'), trimTail('///', '/'), trimTail('', '/'), trimTail('a \t b \t', ' \t')]).toEqual(['/a//b', '', '', 'a \t b']);
});
