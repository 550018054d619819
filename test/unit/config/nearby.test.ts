import { describe, expect, it } from 'vitest';
import { workspacesOfDirectory } from '../../../src/config/nearby.ts';

const workspaces = (entries: Record<string, [workdir: string, ...sources: string[]]>) =>
  new Map(
    Object.entries(entries).map(([name, [workdir, ...sources]]) => [name, { value: { workdir, mounts: sources.map((src) => ({ src, dst: src })) } }]),
  );

const find = (entries: Parameters<typeof workspaces>[0], directory: string, links: Record<string, string> = {}) =>
  workspacesOfDirectory(workspaces(entries), directory, '/home/op', (path) => links[path] ?? path);

describe('workspace of a directory', () => {
  it('is the one whose mount holds it, the deepest first', () => {
    const entries = { whole: ['/src', '/src'], part: ['/src/app', '/src/app'] } satisfies Parameters<typeof workspaces>[0];
    expect(find(entries, '/src/app/deep')).toEqual(['part']);
    expect(find(entries, '/src/other')).toEqual(['whole']);
    expect(find(entries, '/elsewhere')).toEqual([]);
  });

  it('takes an exact workdir even when no mount source matches', () => {
    expect(find({ app: ['/inside', '/host/app'] }, '/inside')).toEqual(['app']);
    expect(find({ app: ['/inside', '/host/app'] }, '/inside/deeper')).toEqual([]);
  });

  it('expands ~ and does not take a neighbour with the same beginning', () => {
    expect(find({ app: ['/x', '~/app'] }, '/home/op/app/src')).toEqual(['app']);
    expect(find({ app: ['/x', '~/app'] }, '/home/op/app2')).toEqual([]);
  });

  it('names all that are equally near', () => {
    expect(find({ one: ['/x', '/src'], two: ['/y', '/src'], far: ['/z', '/'] }, '/src')).toEqual(['one', 'two']);
  });

  it('compares where links lead to, on both sides', () => {
    expect(find({ app: ['/x', '~/app'] }, '/real/app/src', { '/home/op/app': '/real/app' })).toEqual(['app']);
    expect(find({ app: ['/x', '/real/app'] }, '/link/src', { '/link/src': '/real/app/src' })).toEqual(['app']);
    expect(find({ app: ['/link', '/host'] }, '/real', { '/link': '/real' })).toEqual(['app']);
  });
});
