import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../../src/docker/engine.ts';
import { JackinError } from '../../src/shared/errors.ts';

/**
 * What happens at one call. `fails`: nothing comes of it. `answer lost`: it is
 * done, but nobody hears of it. `gone`: that call and all later ones fail, as for
 * a process that is killed. `done`: it works, and then the test does something.
 */
export type EngineFault = 'fails' | 'answer lost' | 'gone' | { done: () => void };

const broken = (name: string): JackinError => new JackinError('engine.unreachable', `${name}: made to fail`);

/** An engine whose call number `failAt`, from 1, goes wrong; `calls` holds the names of those that were made. */
export const faultyEngine = <E extends Engine>(engine: E, failAt: number, fault: EngineFault): { engine: E; calls: string[] } => {
  const calls: string[] = [];
  const wrap = (name: string, call: (...args: unknown[]) => Promise<unknown>) => async (...args: unknown[]): Promise<unknown> => {
    calls.push(name);
    const isOver = fault === 'gone' && calls.length > failAt;
    if (calls.length !== failAt && !isOver) return await call(...args);
    if (fault === 'fails' || fault === 'gone') {
      // As a connection does that breaks: it has begun to read what was sent.
      for (const arg of args) if (arg instanceof Readable) arg.on('error', () => undefined).resume();
      await setImmediate();
      throw broken(name);
    }
    const answer = await call(...args);
    if (fault === 'answer lost') throw broken(name);
    fault.done();
    return answer;
  };
  const members = Object.entries(engine).map(([name, member]) => [name, typeof member === 'function' ? wrap(name, member as never) : member]);
  return { engine: Object.fromEntries(members) as E, calls };
};
