import type { TomlDocument } from '../config/document.ts';
import { isTable, type Table } from '../config/edit-values.ts';
import { dependencyOrder, fillIn, MAX_VALUE_BYTES, referencesOf } from '../config/env-question.ts';
import { lookUp } from '../config/layers.ts';
import type { Problem } from '../config/problems.ts';
import { MAX_VARIABLES } from './manifest-schema.ts';

/** What the rules look at. A value of a wrong type is the schema's to tell, and counts as missing here. */
interface RawVariable {
  name: string;
  interactive: boolean;
  has: (key: string) => boolean;
  default: string | undefined;
  options: string[] | undefined;
  /** Names, without the `env.` before them; undefined for an entry of another form. */
  dependsOn: (string | undefined)[];
  /** Names that its prompt or its default refers to, with the key that does. */
  references: { key: 'prompt' | 'default'; name: string }[];
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const textsOf = (value: unknown): string[] | undefined => (Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined);

const readVariable = (name: string, value: Table): RawVariable => {
  const { depends_on: dependsOn } = value;
  const references = (['prompt', 'default'] as const).flatMap((key) => referencesOf(textOf(value[key]) ?? '').map((reference) => ({ key, name: reference })));
  return {
    name,
    interactive: value.interactive === true,
    has: (key) => Object.hasOwn(value, key),
    default: textOf(value.default),
    options: textsOf(value.options),
    dependsOn: Array.isArray(dependsOn) ? dependsOn.map((one) => /^env\.(.+)$/s.exec(textOf(one) ?? '')?.[1]) : [],
    references,
  };
};

/** A name of any length, and of any characters, in a message. */
const shown = (name: string): string => (name.length > 80 ? `${name.slice(0, 80)}…` : name);

const valueProblems = ({ name, interactive, has, default: proposed, options, references }: RawVariable, problem: (key: string, message: string) => Problem): Problem[] => {
  const problems: Problem[] = [];
  if (!interactive && !has('default')) problems.push(problem('default', 'missing: a variable that is not interactive needs a default'));
  if (has('options') && !interactive) problems.push(problem('options', 'only a question has options: add interactive = true'));
  const variable = options?.findIndex((option) => referencesOf(option).length > 0) ?? -1;
  if (variable !== -1) problems.push(problem('options', `option ${variable + 1} refers to a variable: options are taken as they stand`));
  // They are shown in a terminal, and typed there.
  for (const [key, texts] of [['default', interactive && proposed !== undefined ? [proposed] : []], ['options', options ?? []]] as const) {
    if (texts.some((one) => /\p{Cc}/u.test(one))) problems.push(problem(key, 'holds a line break or another control character, which no answer can'));
  }
  if (options !== undefined && proposed !== undefined && !options.includes(proposed)) problems.push(problem('default', `is none of the options of ${shown(name)}`));
  const seen = new Set<string>();
  for (const { key, name: reference } of references) {
    if (seen.has(`${key}.${reference}`)) continue;
    seen.add(`${key}.${reference}`);
    if (reference === '' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(reference)) problems.push(problem(key, `\${env.${shown(reference)}} names no variable`));
  }
  return problems;
};

const dependencyProblems = ({ name, dependsOn, references }: RawVariable, names: ReadonlySet<string>, problem: (key: string, message: string) => Problem): Problem[] => {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const dependency of dependsOn) {
    if (dependency === undefined) continue;
    if (dependency === name) problems.push(problem('depends_on', `${shown(name)} cannot depend on itself`));
    else if (seen.has(dependency)) problems.push(problem('depends_on', `env.${shown(dependency)} is listed twice`));
    else if (!names.has(dependency)) problems.push(problem('depends_on', `the manifest has no variable ${shown(dependency)}`));
    seen.add(dependency);
  }
  const told = new Set(seen);
  for (const { key, name: reference } of references) {
    if (told.has(reference) || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(reference)) continue;
    told.add(reference);
    problems.push(problem(key, `refers to ${shown(reference)}, which is not in depends_on: add "env.${shown(reference)}"`));
  }
  return problems;
};

/** How many steps of a circle are named. */
const MAX_STEPS = 12;

const cycleProblem = (variables: RawVariable[], names: ReadonlySet<string>, document: TomlDocument): Problem[] => {
  const graph = new Map(variables.map(({ name, dependsOn }) => [name, dependsOn.filter((one) => one !== undefined && one !== name && names.has(one)) as string[]]));
  const sorted = dependencyOrder(graph);
  if (!('cycle' in sorted)) return [];
  const { cycle } = sorted;
  const [first] = cycle;
  const steps = cycle.length > MAX_STEPS ? [...cycle.slice(0, MAX_STEPS), '…'] : cycle;
  return [document.problem(['env', first!, 'depends_on'], `env.${first}.depends_on: these wait for each other: ${[...steps, first].join(' → ')}`)];
};

const problemOf = (document: TomlDocument, name: string) => (key: string, message: string): Problem => document.problem(['env', name, key], `env.${name}.${key}: ${message}`);

/** Defaults that no variable can hold. Each is counted with the defaults that it refers to, and none is put together: they may repeat each other. */
const sizeProblems = (variables: RawVariable[], document: TomlDocument): Problem[] => {
  const byName = new Map(variables.map((variable) => [variable.name, variable]));
  const sorted = dependencyOrder(new Map(variables.map(({ name, references }) => [name, references.map((one) => one.name)])));
  const sizes = new Map<string, number>();
  const problems: Problem[] = [];
  for (const name of 'order' in sorted ? sorted.order : []) {
    const { default: proposed = '' } = byName.get(name)!;
    const size = referencesOf(proposed).reduce((sum, other) => sum + (sizes.get(other) ?? 0), Buffer.byteLength(fillIn(proposed, (other) => (byName.has(other) ? '' : undefined))));
    // What refers to one that is too long would only be told the same.
    sizes.set(name, size > MAX_VALUE_BYTES ? 0 : size);
    if (size > MAX_VALUE_BYTES) problems.push(problemOf(document, name)('default', `with what it refers to, it has more than ${MAX_VALUE_BYTES} bytes, which no variable can hold`));
  }
  return problems;
};

/** Whether the table holds more than can be asked for; nothing else is said of it then. */
export const tooManyVariables = (document: TomlDocument): Problem | undefined => {
  const count = Object.keys(lookUp(document.value, ['env']) ?? {}).length;
  return count > MAX_VARIABLES ? document.problem(['env'], `env: ${count} variables are more than the ${MAX_VARIABLES} that a role may have`) : undefined;
};

const readVariables = (document: TomlDocument): RawVariable[] => {
  const table = lookUp(document.value, ['env']);
  return isTable(table) ? Object.entries(table).flatMap(([name, value]) => (isTable(value) ? [readVariable(name, value)] : [])) : [];
};

/** Rules of `[env.NAME]` that one key alone does not tell. */
export const envProblems = (document: TomlDocument): Problem[] => {
  const variables = readVariables(document);
  const names = new Set(variables.map(({ name }) => name));
  const own = variables.flatMap((variable) => {
    const problem = problemOf(document, variable.name);
    return [...valueProblems(variable, problem), ...dependencyProblems(variable, names, problem)];
  });
  return [...own, ...cycleProblem(variables, names, document), ...sizeProblems(variables, document)];
};

/** What of `[env.NAME]` does nothing. */
export const envNotes = (document: TomlDocument): Problem[] =>
  readVariables(document)
    .filter(({ interactive }) => !interactive)
    .flatMap(({ name, has }) => ['prompt', 'skippable'].filter(has).map((key) => problemOf(document, name)(key, 'does nothing, since the variable is not asked for (interactive = true would)')));
