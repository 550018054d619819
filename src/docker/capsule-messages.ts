import * as z from 'zod';
import { decodeJson, type Frame } from '../capsule/frames.ts';
import {
  PROTOCOL_VERSION,
  type CapsuleFailure,
  type SessionExit,
  type SessionInfo,
  type SessionList,
  type SetupNote,
  type SetupReport,
  type Welcome,
} from '../capsule/protocol.ts';
import { JackinError, messageOf, type ErrorCode } from '../shared/errors.ts';

/**
 * What the capsule may tell the host. It shares its user id with the agent, so
 * whatever comes from there is checked, and what a person will read holds no
 * control characters.
 */
const line = z
  .string()
  .max(2000)
  .transform((text) => text.replaceAll(/\p{Cc}+/gu, ' '));
const exitCode = z.int().min(0).max(255);

const sessionInfo = z.object({
  id: line,
  agent: line,
  state: z.enum(['starting', 'running', 'exited']),
  code: exitCode.optional(),
  clients: z.int().min(0),
  io: z.enum(['pty', 'pipe']),
});

export const sessionInfoMessage: z.ZodType<SessionInfo> = sessionInfo;

export const sessionListMessage: z.ZodType<SessionList> = z.object({ sessions: z.array(sessionInfo).max(1000) });

export const setupNoteMessage: z.ZodType<SetupNote> = z.object({ text: line });

export const welcomeMessage: z.ZodType<Welcome> = z.object({ protocol: z.number(), sessions: z.array(sessionInfo).max(1000) });

export const setupReportMessage: z.ZodType<SetupReport> = z.object({
  logins: z
    .array(
      z.object({
        slug: line,
        outcome: z.enum(['handoff', 'home', 'lease', 'same', 'none', 'removed', 'provider']),
        why: line,
      }),
    )
    .max(100),
});

export const sessionExitMessage: z.ZodType<SessionExit> = z.object({ id: line, code: exitCode, signal: line.optional(), left: z.int().min(0) });

export const failureMessage: z.ZodType<CapsuleFailure> = z.object({
  code: z.enum(['protocol', 'setup', 'agent-missing', 'program-missing', 'no-session', 'busy']),
  // A hook of the role that fails shows the end of its output, over several lines.
  message: z.string().max(10_000).transform((text) => text.replaceAll(/[^\P{Cc}\n]+/gu, ' ')),
});

/** Throws an error that does not quote the frame. */
export const parseMessage = <T>(frame: Frame, schema: z.ZodType<T>): T => {
  const parsed = schema.safeParse(decodeJson(frame));
  if (!parsed.success) throw new Error(`it says something malformed (frame type ${frame.type})`);
  return parsed.data;
};

const START_ANEW = 'End it with `jackin eject` and start it again with `jackin load`.';

/** Throws when the capsule is of another version than this host. */
export const checkProtocol = (protocol: number): void => {
  if (protocol === PROTOCOL_VERSION) return;
  const message = `the container was started by another version of jackin: it speaks protocol ${protocol}, this one ${PROTOCOL_VERSION}`;
  throw new JackinError('failed', message, { hint: START_ANEW });
};

/** An engine that cannot run the connecting program says why in plain text, in the place of a greeting. */
export const notACapsule = (said: string): JackinError =>
  new JackinError('failed', `the container cannot be entered: ${said.replaceAll(/\p{Cc}+/gu, ' ').trim().slice(0, 300)}`, { hint: START_ANEW });

/** For anything that a capsule of ours would not say. */
export const brokenTalk = (cause: unknown): JackinError =>
  new JackinError('failed', `the container does not speak as expected: ${messageOf(cause)}`, { hint: START_ANEW, cause });

const REFUSALS: Record<CapsuleFailure['code'], { code: ErrorCode; what: string; hint?: string }> = {
  protocol: { code: 'failed', what: 'the container refused the request', hint: START_ANEW },
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

/** What a person is told when the capsule refuses. */
export const refused = (failure: CapsuleFailure): JackinError => {
  const { code, what, hint } = REFUSALS[failure.code];
  return new JackinError(code, `${what}: ${failure.message}`, hint === undefined ? {} : { hint });
};
