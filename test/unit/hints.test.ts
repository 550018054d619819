import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import type { Deps } from '../../src/launch/deps.ts';

/** What the checks need of a command; commander's own types differ from one command to the next. */
interface CommandLike {
  name: () => string;
  commands: readonly CommandLike[];
  options: readonly { long?: string | undefined; required: boolean; optional: boolean }[];
  registeredArguments: readonly { variadic: boolean }[];
}

const deps = { version: '0', env: {}, stdout: { write: () => true }, stderr: { write: () => true } } as unknown as Deps;
const program: CommandLike = buildProgram({ deps, passedArguments: [], exit: () => undefined });

const source = path.resolve(import.meta.dirname, '../../src');
const sources = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(path.join(source, name), 'utf8') }));

/** Stands for what is only known when the hint is given. */
const ANYTHING = '<anything>';

/** Source of a text as a person would read it. */
const asShown = (text: string): string => text.replaceAll(/\$\{[^}]*\}/g, ANYTHING).replaceAll('\\`', '`').replaceAll("\\'", "'");

const STRINGS = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|(\\`[^`\\]*\\`)/g;

/** Command lines in the texts of a file: between backticks inside a string, or after a `$` in an example. */
const commandLinesIn = (text: string): string[] => {
  const strings = [...text.matchAll(STRINGS)].map(([, single, double, template]) => asShown(single ?? double ?? template ?? ''));
  const quoted = strings.flatMap((string) => [...string.matchAll(/`(?:[^`]*\| )?jackin ([^`]+)`/g)].map(([, line]) => line!));
  const examples = [...text.matchAll(/^\s*\$ jackin (.+?)(?: {2,}.*)?$/gm)].map(([, line]) => line!);
  return [...quoted, ...examples].flatMap((line) => line.split(/ && jackin /));
};

const NO_VALUE = { required: false, optional: false };

/** What is wrong with a command line, or nothing. */
const faultOf = (line: string): string | undefined => {
  const words = line.replaceAll(/"[^"]*"/g, ANYTHING).split(' ').filter(Boolean);
  // Which command a variable names, its own tests show.
  if (words[0] === ANYTHING) return undefined;
  let command = program;
  while (command.commands.length > 0) {
    const word = words.shift();
    const found = command.commands.find((one) => one.name() === word);
    if (found === undefined) return `${command.name()} has no command ${word ?? '(none is named)'}`;
    command = found;
  }
  let positional = 0;
  for (let word = words.shift(); word !== undefined && word !== '--'; word = words.shift()) {
    if (!word.startsWith('-')) {
      positional += 1;
      continue;
    }
    const [flag, value] = word.split('=');
    const option = flag === '--help' ? NO_VALUE : command.options.find(({ long }) => long === flag);
    if (option === undefined) return `${command.name()} has no option ${flag}`;
    if (value === undefined && (option.required || option.optional)) words.shift();
  }
  const allowed = command.registeredArguments;
  return positional > allowed.length && !allowed.some(({ variadic }) => variadic) ? `${command.name()} takes ${allowed.length} arguments, not ${positional}` : undefined;
};

const flagsOf = (command: CommandLike): string[] => [...command.options.map(({ long }) => long ?? ''), ...command.commands.flatMap(flagsOf)];

const commandLines = sources.flatMap(({ name, text }) => commandLinesIn(text).map((line) => [name, line] as const));

describe('a command line in a hint or a help text', () => {
  it('is found where there is one', () => {
    expect(commandLinesIn('hint: `run \\`jackin eject ${id} --all\\` first`')).toEqual([`eject ${ANYTHING} --all`]);
    expect(commandLinesIn("hint: 'start one with `jackin load`; `jackin status` lists them'")).toEqual(['load', 'status']);
    expect(commandLinesIn('\n  $ jackin eject x && jackin purge x     both\n')).toEqual(['eject x', 'purge x']);
    expect(commandLines.length).toBeGreaterThan(15);
  });

  it.each([
    ['lod', 'jackin has no command lod'],
    ['config', 'config has no command (none is named)'],
    ['workspace crate x', 'workspace has no command crate'],
    ['eject --purg', 'eject has no option --purg'],
    ['load a b c', 'load takes 2 arguments, not 3'],
    ['load agent-smith ~/app --prompt "explain this repo"', undefined],
    ['load <role> . -- --auto', undefined],
  ])('would be refused if it were %j', (line, fault) => {
    expect(faultOf(line)).toBe(fault);
  });

  it.each(commandLines)('%s: jackin %s', (_file, line) => {
    expect(faultOf(line)).toBeUndefined();
  });
});

/** Hints that stand in one line of source, as most do. */
const hints = sources.flatMap(({ name, text }) =>
  [...text.matchAll(/hint: (['"`])((?:\\.|(?!\1).)*)\1/g)].map(([, , hint]) => [name, asShown(hint!)] as const),
);

describe('an option in a hint', () => {
  const known = new Set(['--help', ...flagsOf(program)]);

  it.each(hints.filter(([, hint]) => hint.includes('--')))('%s: %s', (_file, hint) => {
    const named = hint.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [];
    expect(named.filter((flag) => !known.has(flag))).toEqual([]);
  });
});
