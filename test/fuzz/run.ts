import { makeInput } from './mutate.ts';
import { randomOf, seedOf } from './random.ts';
import type { Target } from './target.ts';

/** Of the processor, so that a busy machine makes no input slow. An input takes less than a tenth of it. */
export const LIMIT_MS = 3000;
/** What an input of at most 256 KiB may make the process grow by. */
const LIMIT_BYTES = 400 * 1024 * 1024;
const SHRINK_TRIES = 300;

export interface Failure {
  target: string;
  seed: number;
  index: number;
  why: string;
  input: Buffer;
}

export interface FuzzOptions {
  seed: number;
  /** Number of the first input. */
  from?: number;
  /** Whether there is to be an input of this number. */
  more: (index: number) => boolean;
  /** Called before each one. */
  onInput?: (index: number) => void;
}

const OWN_NAMES = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Number.prototype].map((prototype) => [prototype, Reflect.ownKeys(prototype)] as const);

const polluted = (): string | undefined => {
  for (const [prototype, before] of OWN_NAMES) {
    const added = Reflect.ownKeys(prototype).filter((name) => !before.includes(name));
    for (const name of added) Reflect.deleteProperty(prototype, name);
    if (added.length > 0) return `it wrote ${added.map(String).join(', ')} into a prototype`;
  }
  return undefined;
};

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : `a ${typeof error} was thrown`);

/** What is wrong with how a target takes an input; undefined when nothing is. */
export const tryInput = async (target: Target, input: Buffer): Promise<string | undefined> => {
  const start = process.cpuUsage();
  const before = process.memoryUsage.rss();
  try {
    await target.run(input);
  } catch (error) {
    if (!target.allows(error)) return describe(error);
  }
  const { user, system } = process.cpuUsage(start);
  const took = (user + system) / 1000;
  if (took > LIMIT_MS) return `it took ${Math.round(took)} ms`;
  const grown = process.memoryUsage.rss() - before;
  if (grown > LIMIT_BYTES) return `the process grew by ${Math.round(grown / 1024 / 1024)} MiB`;
  return polluted();
};

const firstLine = (text: string): string => text.split('\n')[0]!;

/** A shorter input that fails in the same way: pieces are left out as long as it does. */
const shrink = async (target: Target, input: Buffer, why: string): Promise<Buffer> => {
  let best = input;
  let tries = SHRINK_TRIES;
  for (let size = Math.ceil(best.length / 2); size >= 1 && tries > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.length && tries > 0; ) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      tries -= 1;
      const fails = await tryInput(target, shorter);
      if (fails !== undefined && firstLine(fails) === firstLine(why)) best = shorter;
      else at += size;
    }
  }
  return best;
};

/** The input of a number. */
export const inputOf = (target: Target, seed: number, index: number): Buffer => {
  const seeds = target.seeds();
  return index < seeds.length ? seeds[index]! : makeInput(seeds, target.form, randomOf(seedOf(seed, index)));
};

/** Gives a target one input after the other, the seeds first. Returns how many, and the first failure. */
export const fuzz = async (target: Target, { seed, from = 0, more, onInput }: FuzzOptions): Promise<{ count: number; failure: Failure | undefined }> => {
  const seeds = target.seeds();
  let index = from;
  for (; more(index); index += 1) {
    onInput?.(index);
    const input = index < seeds.length ? seeds[index]! : makeInput(seeds, target.form, randomOf(seedOf(seed, index)));
    const why = await tryInput(target, input);
    if (why === undefined) continue;
    const isSlow = why.startsWith('it took');
    return { count: index - from + 1, failure: { target: target.name, seed, index, why, input: isSlow ? input : await shrink(target, input, why) } };
  }
  return { count: index - from, failure: undefined };
};

/** How a failure can be seen again. */
export const report = ({ target, seed, index, why, input }: Failure): string =>
  [`${target}: input ${index} of seed ${seed} (${input.length} bytes)`, why, `replay: npm run fuzz -- ${target} --seed ${seed} --index ${index}`, `or:     npm run fuzz -- ${target} --input ${input.toString('base64').slice(0, 20_000)}`].join('\n');
