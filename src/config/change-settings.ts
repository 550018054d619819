import { AGENTS, AGENT_SLUGS, type AgentSlug, type AuthMode } from '../agents/agents.ts';
import { JackinError } from '../shared/errors.ts';
import type { KeyPath } from './document.ts';
import type { Edit } from './edit-values.ts';
import { lookUp } from './layers.ts';
import { didYouMean } from './nearest.ts';

/** The content of a file as it is before the change. */
export type Content = Record<string, unknown>;

/** Removes a key. No edit when it is not there. */
export const removal = (current: Content, path: KeyPath): Edit[] => (lookUp(current, path) === undefined ? [] : [{ path, value: undefined }]);

/** The table in which the settings of a role stand; without a role those of the file. */
export const inRole = (role: string | undefined, path: KeyPath): KeyPath => (role === undefined ? path : ['roles', role, ...path]);

/** The agents that a mode is set for: the named one, else all. One that does not know the mode is refused. */
export const agentsForMode = (mode: AuthMode, agent: AgentSlug | 'all'): AgentSlug[] => {
  const wanted = agent === 'all' ? AGENT_SLUGS : [agent];
  const unable = wanted.filter((slug) => !AGENTS[slug].modes.includes(mode));
  if (unable.length === 0) return wanted;
  const able = AGENT_SLUGS.filter((slug) => AGENTS[slug].modes.includes(mode));
  throw new JackinError('usage', `"${mode}" is not a mode of ${unable.join(', ')}`, {
    hint: agent === 'all' ? `name the agent: ${able.map((slug) => `--agent ${slug}`).join(', ')}` : `modes of ${agent}: ${AGENTS[agent].modes.join(', ')}`,
  });
};

/** Whose login is used: that of a directory of the host, or one of jackin's own. Nothing: as it is. */
interface LoginChoice {
  sourceDir?: string | undefined;
  /** Account. */
  login?: string | undefined;
}

/** Sets the mode. A table holds one of `login` and `sync_source_dir`: the one that is set takes the other out. */
export const authEdits = (current: Content, agents: AgentSlug[], mode: AuthMode, { sourceDir, login }: LoginChoice, role: string | undefined): Edit[] =>
  agents.flatMap((slug): Edit[] => {
    const at = (key: string): KeyPath => inRole(role, [slug, key]);
    return [
      { path: at('auth_forward'), value: mode },
      ...(sourceDir === undefined ? [] : [...removal(current, at('login')), { path: at('sync_source_dir'), value: sourceDir }]),
      ...(login === undefined ? [] : [...removal(current, at('sync_source_dir')), { path: at('login'), value: login }]),
    ];
  });

/** A mount for every workspace, or with a scope for those of the roles that it matches. */
export interface GlobalMountName {
  name: string;
  scope: string | undefined;
}

const MOUNTS = ['docker', 'mounts'];
const mountPath = ({ name, scope }: GlobalMountName): KeyPath => (scope === undefined ? [...MOUNTS, name] : [...MOUNTS, scope, name]);
const isMount = (entry: unknown): boolean => typeof lookUp(entry, ['src']) === 'string';
const describeMount = ({ name, scope }: GlobalMountName): string => `"${name}"${scope === undefined ? '' : ` in the scope "${scope}"`}`;

export const addMountEdits = (current: Content, where: GlobalMountName, mount: { src: string; dst: string; readonly: boolean }): Edit[] => {
  const { name, scope } = where;
  const hint = 'choose another name, or remove it first with `jackin config mount remove`';
  if (scope !== undefined && isMount(lookUp(current, [...MOUNTS, scope]))) {
    throw new JackinError('conflict', `"${scope}" is the name of a mount and cannot be a scope as well`, { hint });
  }
  const found = lookUp(current, mountPath(where));
  if (found !== undefined) {
    const why = isMount(found) ? `there is a mount ${describeMount(where)} already` : `"${name}" is a scope and cannot be a mount as well`;
    throw new JackinError('conflict', why, { hint });
  }
  return [{ path: mountPath(where), value: mount }];
};

export interface ListedMount {
  scope: string | null;
  name: string;
  src: string;
  dst: string;
  readonly: boolean;
}

/** The global mounts of the file, in its order; with a scope only those in it. */
export const listGlobalMounts = (current: Content, scope?: string): ListedMount[] => {
  const entry = (inScope: string | null, name: string, mount: unknown): ListedMount => {
    const { src, dst, readonly = false } = mount as { src: string; dst: string; readonly?: boolean };
    return { scope: inScope, name, src, dst, readonly };
  };
  const all = Object.entries((lookUp(current, MOUNTS) ?? {}) as Content).flatMap(([name, value]) =>
    isMount(value) ? [entry(null, name, value)] : Object.entries(value as Content).map(([inner, mount]) => entry(name, inner, mount)),
  );
  return scope === undefined ? all : all.filter((mount) => mount.scope === scope);
};

export const removeMountEdits = (current: Content, where: GlobalMountName): Edit[] => {
  if (isMount(lookUp(current, mountPath(where)))) return removal(current, mountPath(where));
  const known = listGlobalMounts(current);
  const elsewhere = known.find(({ name, scope }) => name === where.name && scope !== null && where.scope === undefined);
  const names = known.filter(({ scope }) => scope === (where.scope ?? null)).map(({ name }) => name);
  const advice = didYouMean(where.name, names) || '`jackin config mount list` lists them';
  throw new JackinError('not-found', `there is no mount ${describeMount(where)}`, {
    hint: elsewhere === undefined ? advice : `there is one in a scope: --scope '${elsewhere.scope}'`,
  });
};

/** Switches a setting of `[git]`. Off is the default, and a default is not written. */
export const gitEdits = (current: Content, key: 'coauthor_trailer' | 'dco', on: boolean): Edit[] => {
  if (!on) return removal(current, ['git', key]);
  return lookUp(current, ['git', key]) === true ? [] : [{ path: ['git', key], value: true }];
};

/** Trusts a role, or no longer. Not trusted is the default, and a default is not written. */
export const trustEdits = (current: Content, role: string, trusted: boolean): Edit[] => {
  const path = ['roles', role, 'trusted'];
  if (!trusted) return removal(current, path);
  return lookUp(current, path) === true ? [] : [{ path, value: true }];
};
