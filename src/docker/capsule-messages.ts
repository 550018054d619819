import { decodeJson, type Frame } from '../capsule/frames.ts';
import { type Message, type MessageName, MESSAGES } from '../capsule/messages.ts';
import { FrameType, PROTOCOL_VERSION, type CapsuleFailure } from '../capsule/protocol.ts';
import { JackinError, messageOf, type ErrorCode } from '../shared/errors.ts';
import type { Fate } from './container-fate.ts';

/** Throws an error that does not quote the frame. */
export const readMessage = <N extends MessageName>(name: N, frame: Frame): Message<N> => {
  const parsed = MESSAGES[name].safeParse(decodeJson(frame));
  if (!parsed.success) throw new Error(`it says something malformed (frame type ${FrameType[name]})`);
  return parsed.data as Message<N>;
};

/** Throws when the capsule is of another version than this host. */
export const checkProtocol = (protocol: number, hint: string): void => {
  if (protocol === PROTOCOL_VERSION) return;
  const message = `the container was started by another version of jackin: it speaks protocol ${protocol}, this one ${PROTOCOL_VERSION}`;
  throw new JackinError('failed', message, { hint });
};

/** An engine that cannot run the connecting program says why in plain text, in the place of a greeting. */
export const notACapsule = (said: string, hint: string): JackinError =>
  new JackinError('failed', `the container cannot be entered: ${said.replaceAll(/\p{Cc}+/gu, ' ').trim().slice(0, 300)}`, { hint });

/** For anything that a capsule of ours would not say. */
export const brokenTalk = (cause: unknown, hint: string): JackinError =>
  new JackinError('failed', `the container does not speak as expected: ${messageOf(cause)}`, { hint, cause });

const ENGINE_GONE = 'check that the engine is running, then try again';

/** For a capsule that lets something wait for too long, after the engine was asked what became of its container. */
export const noAnswer = (missed: string, { where, why }: Fate, hint: string): JackinError =>
  where === 'engine'
    ? new JackinError('engine.unreachable', `the container does not answer, nor does its engine: ${why}`, { hint: ENGINE_GONE })
    : new JackinError('failed', `the container does not answer: ${where === 'container' ? why : missed}`, { hint });

/** For what could not be done because the connection was lost. */
export const lostError = (what: string, { why, where }: { why: string; where: Fate['where'] }): JackinError =>
  where === 'engine'
    ? new JackinError('engine.unreachable', `${what}: ${why}`, { hint: ENGINE_GONE })
    : new JackinError('failed', `${what}: ${why}`);

const REFUSALS: Record<CapsuleFailure['code'], { code: ErrorCode; what: string; hint?: string }> = {
  protocol: { code: 'failed', what: 'the container refused the request' },
  setup: { code: 'failed', what: 'the container could not be set up' },
  'agent-missing': {
    code: 'failed',
    what: 'the agent cannot be started',
    hint: 'fetch it again with `jackin prewarm`, then start anew with `jackin load`',
  },
  'program-missing': { code: 'not-found', what: 'the program cannot be started' },
  'no-session': { code: 'not-found', what: 'there is no such session', hint: '`jackin hardline <instance> --inspect` lists them; without sessions `jackin hardline <instance>` starts the agent again' },
  busy: { code: 'conflict', what: 'the container is in use', hint: 'join its session with `jackin hardline`' },
};

/** Returns the error for a capsule that refuses. `remedy`: for a container that does not know this request. */
export const refused = (failure: CapsuleFailure, remedy: string): JackinError => {
  const { code, what, hint } = REFUSALS[failure.code];
  const advice = failure.code === 'protocol' ? remedy : hint;
  return new JackinError(code, `${what}: ${failure.message}`, advice === undefined ? {} : { hint: advice });
};
