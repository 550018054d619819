import { describe, expect, it } from 'vitest';
import { workspaceOfDirectory } from '../../../src/config/nearby.ts';

const workspaces = (entries: Record<string, [workdir: string, ...sources: string[]]>) =>
  new Map(
    Object.entries(entries).map(([name, [workdir, ...sources]]) => [name, { value: { workdir, mounts: sources.map((src) => ({ src, dst: src })) } }]),
  );

const find = (entries: Parameters<typeof workspaces>[0], directory: string) => workspaceOfDirectory(workspaces(entries), directory, '/home/op');

describe('workspace of a directory', () => {
  it('is the one whose mount holds it, the deepest first', () => {
    const entries = { whole: ['/src', '/src'], part: ['/src/app', '/src/app'] } satisfies Parameters<typeof workspaces>[0];
    expect(find(entries, '/src/app/deep')).toBe('part');
    expect(find(entries, '/src/other')).toBe('whole');
    expect(find(entries, '/elsewhere')).toBeUndefined();
  });

  it('takes an exact workdir even when no mount source matches', () => {
    expect(find({ app: ['/work', '/host/app'] }, '/work')).toBe('app');
    expect(find({ app: ['/work', '/host/app'] }, '/work/deeper')).toBeUndefined();
  });

  it('expands ~ and does not take a neighbour with the same beginning', () => {
    expect(find({ app: ['/x', '~/app'] }, '/home/op/app/src')).toBe('app');
    expect(find({ app: ['/x', '~/app'] }, '/home/op/app2')).toBeUndefined();
  });

  it('refuses to guess between two that are equally near', () => {
    expect(() => find({ one: ['/x', '/src'], two: ['/y', '/src'] }, '/src')).toThrow(/equally near: one, two/);
  });
});
