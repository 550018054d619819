import type { CapsuleStream } from '../docker/attach.ts';
import { fateOf } from '../docker/container-fate.ts';
import type { Engine } from '../docker/engine.ts';
import { PRIVATE_NODE } from '../docker/private-node.ts';

/** An instance that stands: ended and made anew it is rid of whatever took the capsule's place. */
export const remedyFor = (id: string): string =>
  `\`jackin eject ${id}\` ends the container and keeps its state; \`jackin hardline ${id}\` then makes a new one`;

/** Opens the byte pipe to the capsule of a running container: an exec without a terminal, with nothing in its arguments. */
export const connectCapsule = async (engine: Engine, container: string, remedy: () => string): Promise<CapsuleStream> => {
  const program = [...PRIVATE_NODE, '/jackin/runtime/capsule/connect.mjs'];
  const { stdin, stdout, stderr } = await engine.exec(container, program);
  return { stdin, stdout, stderr, remedy, fate: (settleMs) => fateOf(engine, container, settleMs) };
};
