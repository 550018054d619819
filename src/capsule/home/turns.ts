let last: Promise<unknown> = Promise.resolve();

/** Runs `work` when what was given before is over: two that change one home at once would undo each other's. */
export const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
  const turn = last.then(work);
  last = turn.catch(() => undefined);
  return turn;
};
