import { JackinError } from '../shared/errors.ts';
import { directivesOf, escapeOf, type Instruction, parseDockerfile } from './dockerfile-parse.ts';
import { assertAllowed, floatingIn } from './dockerfile-rules.ts';
import { Variables } from './dockerfile-variables.ts';
import { splitOptions, UNKNOWN } from './dockerfile-words.ts';

/** The placeholder that role Dockerfiles build on. */
const PLACEHOLDER = /^projectjackin\/construct:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/;

const HINT = (name: string): string => `write "FROM projectjackin/construct:trixie" in ${name}`;

/**
 * A `# syntax=` would have BuildKit fetch a program from a registry and build with
 * that. Once a comment stands there no directive is read, so the escape character moves up.
 */
const withoutSyntax = (text: string): string[] => {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  const directives = directivesOf(text);
  if (!directives.some(({ name }) => name === 'syntax')) return lines;
  const escape = `# escape=${escapeOf(directives)}`;
  directives.forEach(({ line }, index) => (lines[line - 1] = index === 0 ? escape : '#'));
  return lines;
};

const assertBase = (image: string, isLast: boolean, stages: ReadonlySet<string>, place: string, name: string): void => {
  const isConstruct = /^projectjackin\/construct(?=[:@]|$)/.test(image);
  const floating = floatingIn(image);
  if (isConstruct && floating !== undefined) throw new JackinError('build.failed', `${place}: FROM ${image}: ${floating}`, { hint: HINT(name) });
  if (PLACEHOLDER.test(image)) return;
  const shown = image === '' ? 'empty' : image.replaceAll(UNKNOWN, '…');
  if (isLast) {
    throw new JackinError('build.failed', `${place}: the final FROM is ${shown}; a role builds on projectjackin/construct:<tag>`, { hint: HINT(name) });
  }
  if (image === 'scratch' || stages.has(image.toLowerCase())) return;
  const why = image.includes(UNKNOWN) ? 'it cannot be known which image this is' : floating;
  if (why !== undefined) throw new JackinError('build.failed', `${place}: FROM ${shown}: ${why}`, { hint: 'name a version, as in golang:1.24, or a digest' });
};

interface Base {
  /** More than one where it depends on the machine. */
  images: string[];
  /** The text behind the image, as `AS build`. */
  rest: string[];
  stage: string | undefined;
}

const baseOf = ({ rest }: Instruction, variables: Variables, place: string): Base => {
  const { options: [option], rest: text } = splitOptions(rest);
  if (option !== undefined) {
    throw new JackinError('build.failed', `${place}: FROM ${option}: a role is built for the engine's own platform`, { hint: 'leave the flag out' });
  }
  const [image = '', ...words] = text.trim().split(/\s+/);
  return { images: variables.inFrom(image), rest: words, stage: words[0]?.toUpperCase() === 'AS' ? words[1] : undefined };
};

/**
 * A role's Dockerfile with the construct's placeholder replaced by the image that
 * stands for it, line for line. Throws `build.failed` with file, line and what to do
 * for everything that a role's Dockerfile may not hold (docs/building.md).
 */
export const substituteConstruct = (text: string, name: string, reference: string): string => {
  const lines = withoutSyntax(text);
  const variables = new Variables(escapeOf(directivesOf(text)));
  const stages = new Set<string>();
  const instructions = parseDockerfile(text, name);
  const last = instructions.findLast(({ keyword }) => keyword === 'FROM');
  if (last === undefined) throw new JackinError('build.failed', `${name}: there is no FROM instruction`, { hint: HINT(name) });

  const replace = ({ line, end }: Instruction, from: string): void => {
    // Blank lines keep the numbers of all other lines.
    lines.splice(line - 1, end - line + 1, from, ...Array.from({ length: end - line }, () => ''));
  };
  for (const instruction of instructions) {
    const { keyword, line } = instruction;
    const place = `${name}:${line}`;
    assertAllowed(instruction, { place, stages, variables });
    variables.assign(instruction);
    if (keyword !== 'FROM') continue;
    const { images, rest, stage } = baseOf(instruction, variables, place);
    for (const image of images) assertBase(image, instruction === last, stages, place, name);
    const [image = ''] = images;
    if (PLACEHOLDER.test(image)) replace(instruction, `FROM ${[reference, ...rest].join(' ')}`);
    variables.startStage(image, stage);
    if (stage !== undefined) stages.add(stage.toLowerCase());
  }
  return lines.join('\n');
};
