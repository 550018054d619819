import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ZodType } from 'zod';
import { encodeMessage, frameReader, type Frame } from '../../../src/capsule/frames.ts';
import { type Message, type MessageName, MESSAGES } from '../../../src/capsule/messages.ts';
import { readMessage } from '../../../src/docker/capsule-messages.ts';
import { bundleForTest } from './run-capsule.ts';

const SESSION: Required<Message<'started'>> = { id: 'kimi-1', agent: 'kimi', state: 'exited', code: 3, clients: 2, io: 'pty' };

/** Every message with every field that it may have. */
const WHOLE: { [N in MessageName]: Required<Message<N>> } = {
  welcome: { protocol: 2, sessions: [SESSION] },
  ready: { logins: [{ slug: 'kimi', outcome: 'handoff', why: 'fresher than here' }], github: 'there is no gh in the container' },
  note: { text: 'running setup_once' },
  started: SESSION,
  sessions: { sessions: [SESSION] },
  exited: { id: 'kimi-1', code: 143, signal: 'SIGTERM', left: 1 },
  failed: { code: 'setup', message: 'the hook failed\n  | out of space' },
};

const across = <N extends MessageName>(name: N, message: Message<N>): Message<N> => {
  const frames: Frame[] = [];
  frameReader((frame) => frames.push(frame))(encodeMessage(name, message));
  expect(frames).toHaveLength(1);
  return readMessage(name, frames[0]!);
};

/** The names of the fields of an object, below lists too: `sessions.id`. */
const fieldsOf = (value: unknown, at = ''): string[] => {
  if (Array.isArray(value)) return value.flatMap((entry) => fieldsOf(entry, at));
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([name, entry]) => fieldsOf(entry, at === '' ? name : `${at}.${name}`));
};

/** The same of a schema. */
const fieldsOfSchema = (schema: ZodType, at = ''): string[] => {
  const { shape, element, innerType } = { ...schema._zod.def } as { shape?: Record<string, ZodType>; element?: ZodType; innerType?: ZodType };
  if (shape !== undefined) return Object.entries(shape).flatMap(([name, entry]) => fieldsOfSchema(entry, at === '' ? name : `${at}.${name}`));
  const inner = element ?? innerType;
  return inner === undefined ? [at] : fieldsOfSchema(inner, at);
};

describe('what the capsule says', () => {
  it.each(Object.keys(WHOLE) as MessageName[])('comes to the host without losing a field: %s', (name) => {
    expect(across(name, WHOLE[name])).toEqual(WHOLE[name]);
    expect(fieldsOf(WHOLE[name]).sort()).toEqual(fieldsOfSchema(MESSAGES[name]).sort());
  });

  it('is made readable, not refused, where a line is long or holds control characters', () => {
    expect(across('note', { text: `cannot set \x1b]0;x\x07${'A'.repeat(5000)}` }).text).toMatch(/^cannot set {2}\]0;x A{1900,2000}$/);
    expect(across('failed', { code: 'setup', message: `one\ntwo\r${'x'.repeat(50_000)}` }).message).toMatch(/^one\ntwo x{9900,10000}$/);
  });

  it.each([
    ['more sessions than there can be', 'sessions', { sessions: Array.from({ length: 101 }, () => SESSION) }],
    ['a name that fills the screen', 'started', { ...SESSION, id: 'x'.repeat(101) }],
    ['an exit code that is none', 'exited', { ...WHOLE.exited, code: 256 }],
    ['no object', 'note', 'text'],
  ] as const)('is refused when it is %s', (_what, name, message) => {
    expect(() => across(name, message as never)).toThrow('malformed');
  });

  it('is checked with a library that the container does not carry', async () => {
    const bundle = await bundleForTest();
    try {
      const programs = (await readdir(bundle)).filter((file) => file.endsWith('.mjs'));
      expect(programs).toContain('capsule.mjs');
      for (const program of programs) expect(await readFile(path.join(bundle, program), 'utf8'), `in ${program}`).not.toMatch(/zod/i);
    } finally {
      await rm(bundle, { recursive: true });
    }
  });
});
