import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { validateRole } from '../../../src/launch/validate-role.ts';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures/roles');
const namesIn = (kind: string): string[] => readdirSync(path.join(fixtures, kind)).sort();

/** What is said of a role, a line for each sentence, without what differs between machines. */
const saidOf = async (kind: string, name: string): Promise<string> => {
  const { folder, faults, notes } = await validateRole(path.join(fixtures, kind, name));
  const lines = [...faults.map(({ place, message }) => (place === null ? message : `${place.line}:${place.column}: ${message}`)), ...notes.map((note) => `note ${note}`)];
  return `${lines.join('\n').replaceAll(folder, '<role>')}\n`;
};

const expectedOf = (kind: string, name: string): string => readFileSync(path.join(fixtures, kind, name, 'expected.txt'), 'utf8');

describe('a role that breaks the rule', () => {
  it.each(namesIn('invalid'))('%s is told so, with the place', async (name) => {
    const said = await saidOf('invalid', name);
    expect(said).toBe(expectedOf('invalid', name));
    expect(said).not.toMatch(/^note|^\n$/);
  });
});

describe('a role that is right', () => {
  it.each(namesIn('valid'))('%s: only what has no effect is told', async (name) => {
    const { faults } = await validateRole(path.join(fixtures, 'valid', name));
    expect(faults).toEqual([]);
    expect(await saidOf('valid', name)).toBe(expectedOf('valid', name));
  });
});
