import { runPull } from '../../src/capsule/pull-program.ts';
import type { FakeOptions } from './engine.ts';
import { gitEnv } from './role-repository.ts';

type Exec = NonNullable<FakeOptions['exec']>;

/**
 * Plays the program that brings new commits into a mounted repository: the real one,
 * in this process. A mount of a test has the same path on both sides.
 */
export const withPullProgram =
  (others: Exec, before: () => void | Promise<void> = () => undefined): Exec =>
  async (request) => {
    const at = request.argv.findIndex((argument) => argument.endsWith('/pull.mjs'));
    if (at === -1) return await others(request);
    await before();
    return await runPull(request.argv.slice(at + 1), { stdin: request.stdin, stdout: request.stdout, env: gitEnv });
  };
