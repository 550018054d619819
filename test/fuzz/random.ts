/** Numbers that depend on a seed and on nothing else, so that every input can be made again. */
export interface Random {
  /** Whole, from 0 up to and without the limit. */
  below: (limit: number) => number;
  pick: <T>(from: readonly T[]) => T;
  /** True once in so many times. */
  once: (times: number) => boolean;
}

/** The generator "mulberry32". */
export const randomOf = (seed: number): Random => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return { below, pick: (from) => from[below(from.length)]!, once: (times) => below(times) === 0 };
};

/** A seed for the input of this number, far from those of its neighbours. */
export const seedOf = (seed: number, index: number): number => (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
