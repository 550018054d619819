import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

interface JsonSchema {
  description?: string;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  additionalProperties?: JsonSchema | boolean;
  anyOf?: JsonSchema[];
}

/** Every key of a schema, with what is said of it. */
const keysOf = (schema: JsonSchema, at = ''): [key: string, description: string | undefined][] => [
  ...Object.entries(schema.properties ?? {}).flatMap(([name, value]): [string, string | undefined][] => [[`${at}${name}`, value.description], ...keysOf(value, `${at}${name}.`)]),
  ...(schema.items === undefined ? [] : keysOf(schema.items, `${at}[].`)),
  ...(typeof schema.additionalProperties === 'object' ? keysOf(schema.additionalProperties, `${at}*.`) : []),
  ...(schema.anyOf ?? []).flatMap((form) => keysOf(form, at)),
];

describe.each(['config', 'workspace', 'role', 'plan'])('schemas/%s.schema.json', (kind) => {
  const text = readFileSync(path.resolve(import.meta.dirname, `../../schemas/${kind}.schema.json`), 'utf8');
  const keys = keysOf(JSON.parse(text) as JsonSchema);

  it('says of every key what it is', () => {
    expect(keys.length).toBeGreaterThan(10);
    expect(keys.filter(([, description]) => !description).map(([key]) => key)).toEqual([]);
  });

  it('has no keyword that editors do not know', () => {
    expect(text).not.toMatch(/"(otherwise|refused)":/);
  });
});

const NORM = [
  'version', 'kimi.auth_forward', 'kimi.sync_source_dir', 'github.auth_forward', 'github.env', 'env', 'docker.mounts', 'docker.mounts.<name>.isolation',
  'docker.mounts.<scope>.<name>.src', 'git.coauthor_trailer', 'git.dco', 'roles.<role>.git', 'roles.<role>.trusted', 'agents.kimi.version', 'workdir',
  'mounts[].src', 'mounts[].dst', 'mounts[].readonly', 'mounts[].isolation', 'allowed_roles', 'default_role', 'default_agent', 'last_role',
  'keep_awake.enabled', 'git_pull_on_entry',
]; // prettier-ignore

describe('docs/reference/configuration.md', () => {
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/reference/configuration.md'), 'utf8');
  const cells = (key: string): string[] => page.split('\n').find((line) => line.startsWith(`| \`${key}\` |`))?.split(' | ') ?? [];

  it('has a row for every setting, with its default, its layers and what is refused', () => {
    expect(NORM.filter((key) => cells(key).length !== 6)).toEqual([]);
    const [, values, fallback, layers, refused] = cells('kimi.auth_forward');
    expect([values, fallback, layers]).toEqual(['`sync`, `api_key`, `ignore`', '`sync`', 'global, workspace, workspace × role']);
    expect(refused).toContain('oauth_token');
    expect(cells('env')[3]).toBe('global, role, workspace, workspace × role');
    expect(cells('docker.mounts.<name>.isolation')[4]).toBe('any value');
  });
});
