import type { KeyPath, TomlDocument } from './document.ts';
import type { ConfigFiles } from './files.ts';

export type Layer = 'command line' | 'workspace × role' | 'workspace' | 'role' | 'role manifest' | 'global' | 'directory' | 'default';

/** Who decided a value. File and line are there when a file did. */
export interface Origin {
  layer: Layer;
  file?: string;
  line?: number;
}

/** What one layer was asked for, and what it said. */
export interface Asked<T> {
  origin: Origin;
  key: string;
  value: T | undefined;
}

/** A decided value, and the layers that were asked, nearest first, with what each said. */
export interface Decision<T> {
  value: T;
  origin: Origin;
  trace: Asked<T>[];
}

/** A place in a file where a layer's settings stand. */
export interface LayerView {
  layer: Layer;
  document: TomlDocument | undefined;
  prefix: KeyPath;
}

export const DEFAULT_ORIGIN: Origin = { layer: 'default' };

export const originOf = (layer: Layer, document: TomlDocument, path: KeyPath): Origin => ({
  layer,
  file: document.file,
  line: document.locate(path).line,
});

/** The value at a path of plain data; own properties only. */
export const lookUp = (value: unknown, path: KeyPath): unknown => {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string | number, unknown>)[key];
  }
  return current;
};

const ask = <T>({ layer, document, prefix }: LayerView, key: KeyPath): Asked<T> => {
  const path = [...prefix, ...key];
  const value = document === undefined ? undefined : (lookUp(document.value, path) as T | undefined);
  const origin = document === undefined || value === undefined ? { layer, ...(document && { file: document.file }) } : originOf(layer, document, path);
  return { origin, key: path.join('.'), value };
};

/** The nearest layer that says something decides; undefined when none does. */
export const decide = <T>(layers: LayerView[], key: KeyPath): Decision<T> | undefined => {
  const trace = layers.map((layer) => ask<T>(layer, key));
  const winner = trace.find(({ value }) => value !== undefined);
  return winner === undefined ? undefined : { value: winner.value as T, origin: winner.origin, trace };
};

/** As {@link decide}; when no layer says anything, the default does. */
export const decideOr = <T>(layers: LayerView[], key: KeyPath, fallback: T): Decision<T> =>
  decide<T>(layers, key) ?? { value: fallback, origin: DEFAULT_ORIGIN, trace: layers.map((layer) => ask<T>(layer, key)) };

/** The layers of logins, nearest first. */
export const authLayers = (files: ConfigFiles, role: string): LayerView[] => [
  { layer: 'workspace × role', document: files.workspace?.document, prefix: ['roles', role] },
  { layer: 'workspace', document: files.workspace?.document, prefix: [] },
  { layer: 'global', document: files.global?.document, prefix: [] },
];

export const workspaceLayer = (files: ConfigFiles): LayerView => ({ layer: 'workspace', document: files.workspace?.document, prefix: [] });

export const globalLayer = (files: ConfigFiles): LayerView => ({ layer: 'global', document: files.global?.document, prefix: [] });

/** `workspace × role (workspaces/app.toml:12)`, or just the layer. */
export const describeOrigin = ({ layer, file, line }: Origin): string => {
  if (file === undefined) return layer;
  return `${layer} (${file}${line === undefined ? '' : `:${line}`})`;
};
