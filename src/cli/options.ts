import { Option } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';

/** What every command gets: the outside world, what stood behind `--`, and where its exit code goes. */
export interface Context {
  deps: Deps;
  passedArguments: string[];
  exit: (code: number) => void;
}

export const formatOption = () => new Option('--format <format>', 'how to print the result').choices(['human', 'json'] as const).default('human' as const);

export const collect = (value: string, previous: string[] | undefined): string[] => [...(previous ?? []), value];
