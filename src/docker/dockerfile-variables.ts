import type { Instruction } from './dockerfile-parse.ts';
import { expandWord, UNKNOWN } from './dockerfile-words.ts';

/** Machines that a role may be built on. A builder knows a few variables by itself, and they differ between these. */
const ARCHITECTURES = ['amd64', 'arm64'];

/** Variables that a builder sets by itself for a machine. */
const platformOf = (architecture: string): ReadonlyMap<string, string> =>
  new Map(
    ['TARGET', 'BUILD'].flatMap((side): [string, string][] => [
      [`${side}PLATFORM`, `linux/${architecture}`],
      [`${side}OS`, 'linux'],
      [`${side}ARCH`, architecture],
      [`${side}VARIANT`, ''],
    ]),
  );

const PLATFORM_NAMES = new Set(platformOf('').keys());

/** Words of an ARG or ENV, where a blank inside quotes or behind an escape ends none. */
const WORD = /(?:[^\s"'\\`]|[\\`][\s\S]?|"(?:[\\`][\s\S]|[^"])*"?|'[^']*'?)+/g;

interface Stage {
  args: Map<string, string>;
  env: Map<string, string>;
}

/**
 * The variables of a Dockerfile, instruction by instruction. jackin gives no build
 * arguments, so an ARG has its default, and one without a default in the text is empty
 * in a FROM. In a stage, the base image may have set what the text does not: that is unknown.
 */
export class Variables {
  readonly #escape: string;
  readonly #global = new Map<string, string>();
  readonly #named = new Map<string, Stage>();
  #stage: Stage | undefined;

  constructor(escape: string) {
    this.#escape = escape;
  }

  /** Returns the images that the word of a FROM stands for: more than one image, where that depends on the machine. */
  inFrom(word: string): string[] {
    const expanded = ARCHITECTURES.map((architecture) => {
      const platform = platformOf(architecture);
      return expandWord(word, (name) => this.#global.get(name) ?? platform.get(name) ?? '', this.#escape);
    });
    return [...new Set(expanded)];
  }

  /** Returns the value of a word at this place. */
  expand(word: string): string {
    return expandWord(word, this.#lookUp, this.#escape);
  }

  /** Begins a stage on an image, or on an earlier stage, whose environment it takes over. */
  startStage(image: string, name: string | undefined): void {
    this.#stage = { args: new Map(), env: new Map(this.#named.get(image.toLowerCase())?.env) };
    if (name !== undefined) this.#named.set(name.toLowerCase(), this.#stage);
  }

  /** Takes an ARG or ENV into account. */
  assign({ keyword, rest }: Instruction): void {
    const words = rest.match(WORD) ?? [];
    if (keyword === 'ENV') this.#assignEnv(rest, words);
    // One ARG may refer to the one before it.
    if (keyword === 'ARG') for (const word of words) this.#assignArg(word);
  }

  #lookUp = (name: string): string => {
    if (this.#stage === undefined) return this.#global.get(name) ?? (PLATFORM_NAMES.has(name) ? UNKNOWN : '');
    return this.#stage.env.get(name) ?? this.#stage.args.get(name) ?? UNKNOWN;
  };

  #assignEnv(rest: string, words: string[]): void {
    const [first = ''] = words;
    const found: [string, string][] = first.includes('=')
      ? words.map((word) => [word.slice(0, word.indexOf('=')), this.expand(word.slice(word.indexOf('=') + 1))])
      : [[first, this.expand(rest.slice(first.length).trim())]];
    // All of one instruction see what was there before it.
    for (const [name, value] of found) this.#stage?.env.set(name, value);
  }

  #assignArg(word: string): void {
    const at = word.indexOf('=');
    const name = at === -1 ? word : word.slice(0, at);
    const value = at === -1 ? undefined : this.expand(word.slice(at + 1));
    if (this.#stage === undefined) {
      if (value !== undefined) this.#global.set(name, value);
      return;
    }
    this.#stage.args.set(name, value ?? this.#global.get(name) ?? UNKNOWN);
  }
}
