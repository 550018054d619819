import { JackinError } from '../shared/errors.ts';

/** What a role's manifest says of a variable that is asked for, or made of others. */
export interface EnvQuestion {
  interactive: boolean;
  skippable: boolean;
  prompt: string | undefined;
  /** The only answers that there are. */
  options: string[] | undefined;
  /** May refer to other variables. */
  proposed: string | undefined;
  /** Names of the variables that come before it. */
  dependsOn: string[];
}

const REFERENCE = /\$\{env\.([^}$]*)\}/g;

/** The names in `${env.NAME}`. */
export const referencesOf = (template: string): string[] => [...template.matchAll(REFERENCE)].map(([, name]) => name!);

/** The text with every `${env.NAME}` replaced; what `valueOf` does not know stays as it stands. */
export const fillIn = (template: string, valueOf: (name: string) => string | undefined): string =>
  template.replace(REFERENCE, (whole, name: string) => valueOf(name) ?? whole);

/** Linux hands no variable to a program that has more than 128 KiB together with its name. */
export const MAX_VALUE_BYTES = 130_000;

/** As {@link fillIn}, for the value of a variable. Values that repeat each other grow beyond all memory: one that is too long for a variable is `config.invalid`. */
export const fillInValue = (name: string, template: string, valueOf: (name: string) => string | undefined): string => {
  let size = Buffer.byteLength(template);
  const bounded = (other: string): string | undefined => {
    const value = valueOf(other);
    if (value !== undefined) size += Buffer.byteLength(value) - Buffer.byteLength(`\${env.${other}}`);
    if (size <= MAX_VALUE_BYTES) return value;
    throw new JackinError('config.invalid', `${name}: with what it refers to, its value has more than ${MAX_VALUE_BYTES} bytes, which no variable can hold`, {
      hint: `set it yourself: \`jackin load --env ${name}=VALUE\``,
    });
  };
  return fillIn(template, bounded);
};

/** The names so that each comes after all that it depends on, in linear time; or one circle that makes this impossible. */
export const dependencyOrder = (graph: ReadonlyMap<string, readonly string[]>): { order: string[] } | { cycle: string[] } => {
  const order: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  for (const root of graph.keys()) {
    if (state.has(root)) continue;
    state.set(root, 'open');
    const path = [{ name: root, next: 0 }];
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const dependency = graph.get(at.name)![at.next];
      at.next += 1;
      if (dependency === undefined) {
        state.set(at.name, 'done');
        order.push(at.name);
        path.pop();
      } else if (state.get(dependency) === 'open') {
        const names = path.map(({ name }) => name);
        return { cycle: names.slice(names.indexOf(dependency)) };
      } else if (graph.has(dependency) && !state.has(dependency)) {
        state.set(dependency, 'open');
        path.push({ name: dependency, next: 0 });
      }
    }
  }
  return { order };
};
