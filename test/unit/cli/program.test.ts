import { expect, it } from 'vitest';
import { buildProgram } from '../../../src/cli/program.ts';
import type { Deps } from '../../../src/launch/deps.ts';

interface CommandLike {
  name: () => string;
  commands: readonly CommandLike[];
  options: readonly { long?: string | undefined }[];
}

const deps = { version: '0', env: {}, stdout: { write: () => true }, stderr: { write: () => true } } as unknown as Deps;

const leavesOf = (command: CommandLike, above = ''): [string, CommandLike][] => {
  const name = `${above}${command.name()}`;
  return command.commands.length === 0 ? [[name, command]] : command.commands.flatMap((child) => leavesOf(child, `${name} `));
};

it.each(leavesOf(buildProgram({ deps, passedArguments: [], exit: () => undefined })))('%s takes --no-input, so that scripts need not know which commands ask', (_name, command) => {
  expect(command.options.map(({ long }) => long)).toContain('--no-input');
});
