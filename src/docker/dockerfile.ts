import { JackinError } from '../shared/errors.ts';

export interface Instruction {
  /** First and last line, from 1. */
  line: number;
  end: number;
  /** In upper case. */
  keyword: string;
  /** What follows the keyword, continuation lines joined by a blank. */
  rest: string;
}

/** The placeholder that role Dockerfiles build on. */
const PLACEHOLDER = /^projectjackin\/construct:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/;

const escapeCharacter = (lines: readonly string[]): string => {
  for (const line of lines) {
    const directive = /^\s*#\s*([a-z]+)\s*=\s*(\S+)\s*$/i.exec(line);
    if (directive === null) return '\\';
    if (directive[1]?.toLowerCase() === 'escape') return directive[2] ?? '\\';
  }
  return '\\';
};

const isComment = (line: string): boolean => /^\s*#/.test(line);

/** The instructions of a Dockerfile with their places. `name` is for messages. */
export const parseDockerfile = (text: string, name: string): Instruction[] => {
  const lines = text.split(/\r?\n/);
  const escape = escapeCharacter(lines);
  const found: Instruction[] = [];
  let open: { line: number; text: string } | undefined;
  lines.forEach((raw, index) => {
    if (isComment(raw) || raw.trim() === '') return;
    const trimmed = raw.trimEnd();
    const continues = trimmed.endsWith(escape);
    const piece = (continues ? trimmed.slice(0, -1) : trimmed).trim();
    const whole = open === undefined ? { line: index + 1, text: piece } : { line: open.line, text: `${open.text} ${piece}` };
    open = continues ? whole : undefined;
    if (continues) return;
    const [, keyword = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(whole.text.trim()) ?? [];
    found.push({ line: whole.line, end: index + 1, keyword: keyword.toUpperCase(), rest });
  });
  if (open !== undefined) {
    // What jackin appends would become a part of it.
    throw new JackinError('build.failed', `${name}:${open.line}: this instruction does not end: its last line asks for another`);
  }
  return found;
};

const expand = (text: string, values: ReadonlyMap<string, string>): string =>
  text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced?: string, bare?: string) => values.get(braced ?? bare ?? '') ?? whole);

const argument = (rest: string): [string, string] | undefined => {
  const [, key, value] = /^(\w+)=(.*)$/.exec(rest) ?? [];
  return key === undefined || value === undefined ? undefined : [key, value.replace(/^(["'])(.*)\1$/, '$2')];
};

const OUR_PLACES = ['/jackin', '/home/agent'];

/** A volume there would swallow what jackin writes at build time, and what it mounts. */
const assertNotOurs = ({ line, rest }: Instruction, name: string): void => {
  for (const place of rest.match(/\/[^\s"',\]]*/g) ?? []) {
    const volume = place.replace(/\/+$/, '');
    const ours = OUR_PLACES.find((own) => volume === own || volume.startsWith(`${own}/`) || own.startsWith(`${volume}/`));
    if (ours === undefined) continue;
    throw new JackinError('build.failed', `${name}:${line}: VOLUME ${place}: jackin itself mounts at ${ours}`, {
      hint: 'leave this volume out: the homes of the agents are durable without it',
    });
  }
};

/**
 * A role's Dockerfile with the construct's placeholder replaced by the image that
 * stands for it, line for line. Throws `build.failed` with file and line when the
 * final stage builds on anything else.
 */
export const substituteConstruct = (text: string, name: string, reference: string): string => {
  const lines = text.split(/\r?\n/);
  const globals = new Map<string, string>();
  const instructions = parseDockerfile(text, name);
  const stages = instructions.filter(({ keyword }) => keyword === 'FROM');
  const last = stages.at(-1);
  if (last === undefined) throw new JackinError('build.failed', `${name}: there is no FROM instruction`);

  for (const instruction of instructions) {
    if (instruction.keyword === 'VOLUME') assertNotOurs(instruction, name);
    if (instruction.keyword === 'ARG' && instruction.line < (stages[0]?.line ?? 0)) {
      const found = argument(instruction.rest);
      if (found !== undefined) globals.set(found[0], found[1]);
    }
    if (instruction.keyword !== 'FROM') continue;
    const place = `${name}:${instruction.line}`;
    const words = instruction.rest.split(/\s+/);
    if (words[0]?.startsWith('--')) {
      throw new JackinError('build.failed', `${place}: FROM ${words[0]}: a role is built for the engine's own platform; leave the flag out`);
    }
    const image = expand(words[0] ?? '', globals);
    if (PLACEHOLDER.test(image)) {
      const replaced = [`FROM ${[reference, ...words.slice(1)].join(' ')}`];
      // Blank lines keep the numbers of all other lines.
      while (replaced.length < instruction.end - instruction.line + 1) replaced.push('');
      lines.splice(instruction.line - 1, replaced.length, ...replaced);
    } else if (instruction === last) {
      const message = `${place}: the final FROM is ${image === '' ? 'empty' : image}; a role builds on projectjackin/construct:<tag>`;
      throw new JackinError('build.failed', message, { hint: `write "FROM projectjackin/construct:trixie" in ${name}` });
    }
  }
  return lines.join('\n');
};
