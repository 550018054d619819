import { JackinError } from '../../src/shared/errors.ts';
import type { Form } from './mutate.ts';

/** A parser of what others wrote, and what it promises. */
export interface Target {
  name: string;
  /** The files of `src/` whose parsing it goes through. */
  covers: readonly string[];
  form: Form;
  /** How many inputs are enough in the suite, where each takes long; 1000 unless told. */
  count?: number;
  /** Valid inputs. */
  seeds: () => readonly Buffer[];
  /** Gives it an input; throws for a broken promise. */
  run: (input: Buffer) => unknown;
  /** Whether it may throw this: an error for a person, unless the parser documents others. */
  allows: (error: unknown) => boolean;
}

const OFTEN_CALLED = new WeakMap<object, readonly Buffer[]>();

/** A target whose seeds are made once, and that may throw errors for a person only. */
export const target = (options: Omit<Target, 'allows' | 'seeds'> & { seeds: () => readonly (Buffer | string)[]; allows?: (error: unknown) => boolean }): Target => {
  const seeds = (): readonly Buffer[] => {
    const known = OFTEN_CALLED.get(options);
    if (known !== undefined) return known;
    const made = options.seeds().map((seed) => Buffer.from(seed as string));
    OFTEN_CALLED.set(options, made);
    return made;
  };
  return { allows: (error) => error instanceof JackinError, ...options, seeds };
};

/** A promise of a parser that does not hold. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

export const promise = (holds: boolean, what: string): void => {
  if (!holds) throw new BrokenPromise(what);
};
