import type { Origin } from '../config/layers.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { Deps } from './deps.ts';

/** How a login or a key stands, before a launch. */
export type AuthState =
  | 'live'
  /** The access token is over, and can be refreshed. */
  | 'expired'
  | 'dead'
  | 'absent'
  /** A form that jackin does not know: passed on as it is. */
  | 'unknown'
  /** There, and could not be read: a launch stops at it. */
  | 'unreadable'
  /** Not of the account that the configuration pins: a launch refuses it. */
  | 'wrong account'
  | 'key set'
  | 'key missing'
  | 'ignored';

/** Who decided something, as JSON. */
export interface Decider {
  layer: Origin['layer'];
  file: string | null;
  line: number | null;
}

/** Where a key comes from; never what it is. */
export interface KeyStatus {
  name: string;
  decided_by: Decider | null;
  /** `op`: only 1Password knows whether it is there. */
  from: EnvEntry['source']['kind'] | null;
}

export const deciderOf = ({ layer, file, line }: Origin): Decider => ({ layer, file: file ?? null, line: line ?? null });

interface KeyFacts {
  state: AuthState;
  key: KeyStatus | null;
  why: string;
}

/** Whether a key is there, as far as the host can tell without asking anybody. */
export const keyFacts = (name: string, entry: EnvEntry | undefined, env: Deps['env'], table = '[env]'): KeyFacts => {
  if (entry === undefined) {
    return { state: 'key missing', key: { name, decided_by: null, from: null }, why: `No ${table} table sets ${name}.` };
  }
  const { source } = entry;
  const key = { name, decided_by: deciderOf(entry.origin), from: source.kind };
  switch (source.kind) {
    case 'literal':
      return source.value === '' ? { state: 'key missing', key, why: `${name} is set, but empty.` } : { state: 'key set', key, why: `${name} is set.` };
    case 'host':
      return env[source.name]
        ? { state: 'key set', key, why: `${name} comes from $${source.name}.` }
        : { state: 'key missing', key, why: `${name} comes from $${source.name}, which is not set on the host.` };
    case 'op':
      return { state: 'key set', key, why: `${name} comes from 1Password; whether it is there, only a launch asks.` };
    case 'prompt':
      return { state: 'key set', key, why: `${name} is asked for by the role.` };
    default:
      return source satisfies never;
  }
};
