import { type EnvSource, envSource } from './resolve-env.ts';
import type { EnvToml } from './schema.ts';

/** Stands where a value is that is not shown. */
export const HIDDEN = '********';

/** A variable's value as it may be shown. `value` is null where it is a secret and nobody asked to see it. */
export interface ShownEnv {
  kind: EnvSource['kind'];
  value: string | null;
}

/** A literal may be a secret; a reference only says where one is. */
export const showEnv = (value: EnvToml[string], reveal = false): ShownEnv => {
  const source = envSource(value);
  switch (source.kind) {
    case 'literal':
      return { kind: 'literal', value: reveal ? source.value : null };
    case 'host':
      return { kind: 'host', value: `$${source.name}` };
    case 'op':
      return { kind: 'op', value: source.account === undefined ? source.reference : `${source.reference} (account ${source.account})` };
    default:
      return source satisfies never;
  }
};

export const envText = ({ value }: ShownEnv): string => value ?? HIDDEN;
