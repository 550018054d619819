import type { CapsuleStream } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import { PRIVATE_NODE } from '../docker/private-node.ts';

/** Opens the byte pipe to the capsule of a running container: an exec without a terminal, with nothing in its arguments. */
export const connectCapsule = async (engine: Engine, container: string): Promise<CapsuleStream> => {
  const { stdin, stdout, stderr } = await engine.exec(container, [...PRIVATE_NODE, '/jackin/runtime/capsule/connect.mjs']);
  return { stdin, stdout, stderr };
};
