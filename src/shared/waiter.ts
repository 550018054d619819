import { AsyncLocalStorage } from 'node:async_hooks';

/** The command that waits for another jackin somewhere below: how it speaks to a person, and what ends it. */
export interface Waiter {
  say: (line: string) => void;
  signal: AbortSignal;
}

const storage = new AsyncLocalStorage<Waiter>();

/**
 * Runs a command, so that a lock below it can say that it waits. Locks are taken deep
 * inside of rooms that know no terminal, and every way to them would have to carry it.
 */
export const asWaiter = <T>(whoWaits: Waiter, run: () => Promise<T>): Promise<T> => storage.run(whoWaits, run);

/** The command that runs now; undefined in the keeper and in the capsule, which speak to nobody. */
export const waiter = (): Waiter | undefined => storage.getStore();
