import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Frame } from '../../../src/capsule/frames.ts';
import { FrameType } from '../../../src/capsule/protocol.ts';
import { readAttach, readKill, readLaunch, readSignal, readSize, readSpawn } from '../../../src/capsule/requests.ts';
import { launchRequest } from './run-capsule.ts';

const frame = (value: unknown): Frame => ({ type: FrameType.launch, payload: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)) });

const SECRET = 'sk-canary-0123456789';

/** A launch in which one place holds something else. */
const withValue = (path: string, value: unknown): unknown => {
  const request = structuredClone(launchRequest({ env: { TOKEN: SECRET }, keys: { kimi: { KIMI_API_KEY: SECRET } } })) as unknown as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop()!;
  const target = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, request);
  target[last] = value;
  return request;
};

const complaintOf = (request: unknown): string => {
  try {
    readLaunch(frame(request));
    return '';
  } catch (error) {
    return String(error);
  }
};

describe('a launch request', () => {
  it('is taken as it is when it is right', () => {
    const request = launchRequest({ env: { TOKEN: SECRET } });
    expect(readLaunch(frame(request))).toEqual(request);
  });

  it.each([
    ['session.env.TOKEN', [SECRET], /a value of session\.env is not a string/],
    ['session.env.TOKEN', `${SECRET}\0`, /a value of session\.env is not a string without NUL/],
    ['session.keys.kimi.KIMI_API_KEY', { key: SECRET }, /a value of an entry of session\.keys is not a string/],
    ['session.keys', SECRET, /session\.keys is not an object/],
    ['session.argv', [[SECRET]], /a word of session\.argv is not a string/],
    ['session.argv', [], /session\.argv is not a list of words/],
    ['session.cwd', `${SECRET}/x`, /session\.cwd is not an absolute path/],
    ['session.agent', '../kimi', /session\.agent is not a slug/],
    ['session.io', SECRET, /session\.io is none of pty, pipe/],
    ['session.size', { cols: 1e9, rows: 1 }, /session\.size is not a terminal's size/],
    ['setup.workdir', 7, /setup\.workdir is not a string/],
    ['setup.agents', SECRET, /setup\.agents is not a list/],
    ['setup.hooks', SECRET, /setup\.hooks is not a list/],
    ['setup.hooks', [SECRET], /an entry of setup\.hooks is none of/],
  ])('is refused when %s is %j, by its place and without its content', (path, value, message) => {
    expect(() => readLaunch(frame(withValue(path, value)))).toThrow(message);
    expect(() => readLaunch(frame(withValue(path, value)))).not.toThrow(SECRET);
  });

  it('is never quoted when it is refused, whatever is wrong with it', () => {
    const places = fc.constantFrom('session', 'session.env', 'session.env.TOKEN', 'session.keys', 'session.keys.kimi', 'session.argv', 'session.cwd', 'setup', 'setup.agents');
    const values = fc.jsonValue({ maxDepth: 2 }).map((value) => [value, { [SECRET]: value, '': SECRET }, [SECRET, value], `${SECRET}\0`]).chain((list) => fc.constantFrom(...list));
    fc.assert(
      fc.property(places, values, (place, value) => {
        expect(complaintOf(withValue(place, value))).not.toContain(SECRET);
      }),
    );
  });
});

describe('a request for another session', () => {
  const { session, setup } = launchRequest({ env: { TOKEN: SECRET } });
  const { env, keys, ...plain } = session;

  it('is taken with what was read anew for it, or without; only a shell needs no program', () => {
    const fresh = { setup, env, keys };
    expect(readSpawn(frame({ session: plain, detached: true, fresh }))).toEqual({ session: plain, detached: true, fresh });
    const shell = { ...plain, agent: 'shell', argv: [] };
    expect(readSpawn(frame({ session: shell, detached: false }))).toEqual({ session: shell, detached: false });
    expect(() => readSpawn(frame({ session: { ...shell, agent: 'kimi' }, detached: false }))).toThrow('session.argv is not a list of words');
  });

  it.each([
    [{ session: plain, fresh: SECRET }, 'fresh is not an object'],
    [{ session: plain, fresh: { setup, env: { TOKEN: [SECRET] }, keys } }, 'a value of fresh.env is not a string'],
    [{ session: plain, fresh: { setup, env, keys: [SECRET] } }, 'fresh.keys is not an object'],
    [{ session: plain, fresh: { env, keys } }, 'setup is not an object'],
    [SECRET, 'the spawn request is not an object'],
  ])('is refused by its place and without its content: %#', (request, message) => {
    const read = () => readSpawn(frame(JSON.stringify(request)));
    expect(read).toThrow(message);
    expect(read).not.toThrow(SECRET);
  });
});

describe('other requests', () => {
  it('are refused when they make no sense', () => {
    expect(() => readAttach(frame({ session: 1, size: { cols: 80, rows: 24 } }))).toThrow('session is not a string');
    expect(() => readAttach(frame([]))).toThrow('the attach request is not an object');
    expect(() => readSize(frame({ cols: 0, rows: 24 }))).toThrow("not a terminal's size");
    expect(() => readKill(frame({ session: 7 }))).toThrow('session is not a string');
    expect(() => readSignal(frame({ signal: 'SIGSTOP' }))).toThrow('signal is none of');
  });

  it('get the narrowest screen that there is a model of', () => {
    expect(readSize(frame({ cols: 1, rows: 1 }))).toEqual({ cols: 2, rows: 1 });
  });
});
