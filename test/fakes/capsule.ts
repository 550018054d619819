import { decodeJson, encodeData, encodeJson, frameReader, type Frame } from '../../src/capsule/frames.ts';
import {
  FrameType,
  PROTOCOL_VERSION,
  type KillRequest,
  type LaunchRequest,
  type SessionInfo,
  type SpawnRequest,
} from '../../src/capsule/protocol.ts';
import type { FakeOptions } from './engine.ts';

export interface FakeCapsule {
  exec: NonNullable<FakeOptions['exec']>;
  /** What was launched, as the capsule got it. */
  launches: LaunchRequest[];
  /** What was started beside it. */
  spawns: SpawnRequest[];
  /** The container has been started anew: the capsule knows of nothing. */
  forget: () => void;
}

/** The capsule of a fake engine's containers: whatever is started says `answer` and ends with `code`, unless it is detached. */
export const fakeCapsule = ({ answer = 'hello\n', code = 0, github }: { answer?: string; code?: number; github?: string } = {}): FakeCapsule => {
  const launches: LaunchRequest[] = [];
  const spawns: SpawnRequest[] = [];
  let sessions: SessionInfo[] = [];
  const exec: FakeCapsule['exec'] = async ({ stdin, stdout }) => {
    const say = (type: FrameType, value: unknown) => void stdout.write(encodeJson(type, value));
    const tellSessions = () => say(FrameType.sessions, { sessions });
    const play = (session: SessionInfo) => {
      say(FrameType.started, session);
      stdout.write(encodeData(FrameType.output, Buffer.from(answer)));
      Object.assign(session, { state: 'exited', code });
      say(FrameType.exited, { id: session.id, code, left: sessions.filter(({ state }) => state === 'running').length });
    };
    const start = ({ agent, io }: SpawnRequest['session'], detached: boolean) => {
      const number = sessions.filter((one) => one.agent === agent).length + 1;
      const session: SessionInfo = { id: `${agent}-${number}`, agent, state: 'running', clients: 1, io };
      sessions.push(session);
      if (detached) say(FrameType.started, session);
      else play(session);
    };
    const ready = (agents: { slug: string }[]) =>
      say(FrameType.ready, { logins: agents.map(({ slug }) => ({ slug, outcome: 'none' as const, why: 'There is none.' })), ...(github !== undefined && { github }) });
    const handle = (frame: Frame): void => {
      switch (frame.type) {
        case FrameType.launch: {
          const request = decodeJson(frame) as LaunchRequest;
          launches.push(request);
          ready(request.setup.agents);
          return start(request.session, request.detached);
        }
        case FrameType.spawn: {
          const request = decodeJson(frame) as SpawnRequest;
          spawns.push(request);
          if (request.fresh !== undefined) ready(request.fresh.setup.agents);
          return start(request.session, request.detached);
        }
        case FrameType.attach:
          return play(sessions[0]!);
        case FrameType.kill: {
          const { session } = decodeJson(frame) as KillRequest;
          const found = sessions.find(({ id }) => id === session);
          if (found === undefined) return say(FrameType.failed, { code: 'no-session', message: `there is ${sessions.map(({ id }) => id).join(', ')}` });
          return void Object.assign(found, { state: 'exited', code: 143 });
        }
        case FrameType.list:
        case FrameType.watch:
          return tellSessions();
        default:
      }
    };
    say(FrameType.welcome, { protocol: PROTOCOL_VERSION, sessions });
    const read = frameReader(handle);
    for await (const chunk of stdin) read(chunk as Buffer);
    return 0;
  };
  return { exec, launches, spawns, forget: () => (sessions = []) };
};
