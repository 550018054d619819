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
