import { once } from 'node:events';
import { decodeJson, encodeData, encodeJson, frameReader } from '../../src/capsule/frames.ts';
import { FrameType, PROTOCOL_VERSION, type LaunchRequest } from '../../src/capsule/protocol.ts';
import type { FakeOptions } from './engine.ts';

export interface FakeCapsule {
  exec: NonNullable<FakeOptions['exec']>;
  /** What was launched, as the capsule got it. */
  launches: LaunchRequest[];
}

/** The capsule of a fake engine's containers: whatever is launched says `answer` and ends with `code`, unless it is detached. */
export const fakeCapsule = ({ answer = 'hello\n', code = 0 } = {}): FakeCapsule => {
  const launches: LaunchRequest[] = [];
  const exec: FakeCapsule['exec'] = async ({ stdin, stdout }) => {
    const launch = (request: LaunchRequest): void => {
      launches.push(request);
      const { agent, io } = request.session;
      const logins = request.setup.agents.map(({ slug }) => ({ slug, outcome: 'none' as const, why: 'There is none.' }));
      stdout.write(encodeJson(FrameType.ready, { logins }));
      stdout.write(encodeJson(FrameType.started, { id: `${agent}-1`, agent, state: 'running', clients: 1, io }));
      if (request.detached) return;
      stdout.write(encodeData(FrameType.output, Buffer.from(answer)));
      stdout.write(encodeJson(FrameType.exited, { id: `${agent}-1`, code, left: 0 }));
    };
    const read = frameReader((frame) => {
      if (frame.type === FrameType.launch) launch(decodeJson(frame) as LaunchRequest);
    });
    stdout.write(encodeJson(FrameType.welcome, { protocol: PROTOCOL_VERSION, sessions: [] }));
    stdin.on('data', read);
    await once(stdin, 'end');
    return 0;
  };
  return { exec, launches };
};
