import { JackinError } from '../shared/errors.ts';
import { directivesOf, escapeOf, type Instruction, parseDockerfile } from './dockerfile-parse.ts';
import { assertAllowed, floatingIn } from './dockerfile-rules.ts';

/** The placeholder that role Dockerfiles build on. */
const PLACEHOLDER = /^projectjackin\/construct:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/;

const HINT = (name: string): string => `write "FROM projectjackin/construct:trixie" in ${name}`;

const expand = (text: string, values: ReadonlyMap<string, string>): string =>
  text.replace(/\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))/g, (whole, braced?: string, otherwise?: string, bare?: string) => values.get(braced ?? bare ?? '') ?? otherwise ?? whole);

/** `A=1 B="2"` */
const assignments = (rest: string): [string, string][] =>
  [...rest.matchAll(/(\w+)=("[^"]*"|'[^']*'|\S*)/g)].map(([, key = '', value = '']) => [key, value.replace(/^(["'])(.*)\1$/, '$2')]);

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
  if (isLast) {
    const message = `${place}: the final FROM is ${image === '' ? 'empty' : image}; a role builds on projectjackin/construct:<tag>`;
    throw new JackinError('build.failed', message, { hint: HINT(name) });
  }
  if (image === '' || image.includes('$') || image === 'scratch' || stages.has(image.toLowerCase()) || floating === undefined) return;
  throw new JackinError('build.failed', `${place}: FROM ${image}: ${floating}`, { hint: 'name a version, as in golang:1.24, or a digest' });
};

/**
 * A role's Dockerfile with the construct's placeholder replaced by the image that
 * stands for it, line for line. Throws `build.failed` with file, line and what to do
 * for everything that a role's Dockerfile may not hold (docs/building.md).
 */
export const substituteConstruct = (text: string, name: string, reference: string): string => {
  const lines = withoutSyntax(text);
  const values = new Map<string, string>();
  const names = new Set<string>();
  const instructions = parseDockerfile(text, name);
  const last = instructions.findLast(({ keyword }) => keyword === 'FROM');
  if (last === undefined) throw new JackinError('build.failed', `${name}: there is no FROM instruction`, { hint: HINT(name) });

  const replace = ({ line, end }: Instruction, from: string): void => {
    // Blank lines keep the numbers of all other lines.
    lines.splice(line - 1, end - line + 1, from, ...Array.from({ length: end - line }, () => ''));
  };
  for (const instruction of instructions) {
    const { keyword, line } = instruction;
    const rest = keyword === 'ADD' || keyword === 'FROM' ? expand(instruction.rest, values) : instruction.rest;
    assertAllowed({ ...instruction, rest }, name, names);
    if (keyword === 'ARG') for (const [key, value] of assignments(rest)) values.set(key, value);
    if (keyword !== 'FROM') continue;
    const place = `${name}:${line}`;
    const words = rest.split(/\s+/);
    const [image = '', as, stage] = words;
    if (image.startsWith('--')) {
      throw new JackinError('build.failed', `${place}: FROM ${image}: a role is built for the engine's own platform`, { hint: 'leave the flag out' });
    }
    assertBase(image, instruction === last, names, place, name);
    if (PLACEHOLDER.test(image)) replace(instruction, `FROM ${[reference, ...words.slice(1)].join(' ')}`);
    if (as?.toUpperCase() === 'AS' && stage !== undefined) names.add(stage.toLowerCase());
  }
  return lines.join('\n');
};
