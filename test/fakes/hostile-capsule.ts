import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { encodeFrame, encodeJson, encodeMessage } from '../../src/capsule/frames.ts';
import { FrameType, PROTOCOL_VERSION, type SessionInfo } from '../../src/capsule/protocol.ts';
import type { FakeOptions } from './engine.ts';

const SESSION: SessionInfo = { id: 'kimi-1', agent: 'kimi', state: 'running', clients: 1, io: 'pty' };
const MANY = Array.from({ length: 100 }, (_, index) => ({ ...SESSION, id: `kimi-${index + 1}` }));
const GREETING = encodeMessage('welcome', { protocol: PROTOCOL_VERSION, sessions: [SESSION] });
const READY = encodeMessage('ready', { logins: [{ slug: 'kimi', outcome: 'same', why: 'forged '.repeat(200) }] });
const STARTED = encodeMessage('started', SESSION);

/** A program that an agent has put in the capsule's place: what it says first, and what it says again and again. */
export const HOSTILE = {
  silent: {},
  slow: { drip: GREETING },
  'greets, then silent': { first: GREETING },
  'greets, then slow': { first: GREETING, drip: STARTED },
  'endless greetings': { again: GREETING },
  'endless notes': { first: GREETING, again: encodeMessage('note', { text: 'setting up '.repeat(150) }) },
  'endless short notes': { first: GREETING, again: encodeMessage('note', { text: 'x' }) },
  'endless reports': { first: GREETING, again: READY },
  'endless lists': { first: GREETING, again: encodeMessage('sessions', { sessions: MANY }) },
  'endless starts': { first: GREETING, again: STARTED },
  'endless lists after the start': { first: Buffer.concat([GREETING, STARTED]), again: encodeMessage('sessions', { sessions: MANY }) },
  'output of nothing': { first: GREETING, again: encodeFrame(FrameType.output, Buffer.from('forged output\n')) },
  'an end of nothing': { first: Buffer.concat([GREETING, encodeMessage('exited', { id: 'kimi-1', code: 0, left: 0 })]) },
  'half a frame': { first: Buffer.concat([GREETING, Buffer.from([FrameType.note, 0, 0x30, 0, 0])]), again: Buffer.from('x') },
  garbage: { first: GREETING, again: encodeJson(FrameType.launch, { no: 'sense' }) },
  noise: { first: GREETING, again: Buffer.from([7, 0, 0, 0, 3, 1, 2, 3]) },
} as const satisfies Record<string, { first?: Buffer; again?: Buffer; drip?: Buffer }>;

export type HostileMode = keyof typeof HOSTILE;

const isOver = (stdin: Readable, stdout: Writable): boolean => stdin.readableEnded || stdin.destroyed || stdout.destroyed;

/** Plays such a program, until the host has hung up. `dripMs`: between two bytes of what it says slowly. */
export const hostileCapsule =
  (mode: HostileMode, dripMs: number): NonNullable<FakeOptions['exec']> =>
  async ({ stdin, stdout }) => {
    const { first, again, drip }: { first?: Buffer; again?: Buffer; drip?: Buffer } = HOSTILE[mode];
    stdin.resume();
    if (first !== undefined) stdout.write(first);
    // A whole greeting takes longer than any test may.
    for (const byte of drip ?? []) {
      if (isOver(stdin, stdout)) break;
      stdout.write(Buffer.from([byte]));
      await sleep(dripMs);
    }
    while (!isOver(stdin, stdout)) {
      if (again === undefined) await sleep(5);
      else if (stdout.write(again)) await setImmediate();
      else await Promise.race([once(stdout, 'drain'), once(stdout, 'close'), sleep(20)]);
    }
    return 1;
  };
