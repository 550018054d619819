import type { EnvToml, WorkspaceToml } from './schema.ts';
import { envText, showEnv } from './show-env.ts';

/** Whether a table holds variables; a role may be called `env` too. */
const isEnvTable = (path: string[]): boolean => path.at(-1) === 'env' && !(path.length === 2 && path[0] === 'roles');

const isTable = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const showEnvTable = (table: EnvToml) => Object.fromEntries(Object.entries(table).map(([name, value]) => [name, showEnv(value)]));

/** The content of a workspace file for JSON, its variables masked. */
export const showContent = (content: Record<string, unknown>, path: string[] = []): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(content).map(([key, value]) => {
      const here = [...path, key];
      if (!isTable(value)) return [key, value];
      return [key, isEnvTable(here) ? showEnvTable(value as EnvToml) : showContent(value, here)];
    }),
  );

const settingRows = (content: Record<string, unknown>, path: string[] = []): string[][] =>
  Object.entries(content).flatMap(([key, value]) => {
    const here = [...path, key];
    if (isTable(value)) return isEnvTable(path) ? [[here.join('.'), envText(showEnv(value as EnvToml[string]))]] : settingRows(value, here);
    if (isEnvTable(path)) return [[here.join('.'), envText(showEnv(value as string))]];
    return [[here.join('.'), Array.isArray(value) ? value.join(', ') : String(value)]];
  });

export const describeMount = ({ src, dst, readonly, isolation }: WorkspaceToml['mounts'][number]): string[] => [
  dst,
  src,
  readonly ? 'read-only' : 'writable',
  isolation ?? 'shared',
];

/** The content of a workspace file for a person: its mounts last, its variables masked. */
export const workspaceRows = ({ mounts, ...content }: WorkspaceToml): { settings: string[][]; mounts: string[][] } => ({
  settings: settingRows(content),
  mounts: mounts.map(describeMount),
});
