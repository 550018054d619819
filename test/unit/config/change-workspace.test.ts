import { describe, expect, it } from 'vitest';
import { planWorkspaceChange, type WorkspaceChange } from '../../../src/config/change-workspace.ts';
import { coveredMounts, type MountToml } from '../../../src/config/collapse.ts';
import { applyEdits } from '../../../src/config/edit-values.ts';
import type { WorkspaceToml } from '../../../src/config/schema.ts';

const NOTHING: WorkspaceChange = {
  workdir: undefined, mounts: [], removeDestinations: [], isolations: [], allowRoles: [], disallowRoles: [],
  defaultRole: undefined, defaultAgent: undefined, keepAwake: undefined, gitPull: undefined,
}; // prettier-ignore

const app: MountToml = { src: '/src/app', dst: '/app', readonly: false, isolation: 'shared' };
const cache: MountToml = { src: '/cache', dst: '/cache', readonly: true, isolation: 'shared' };
const workspace = (extra: Partial<WorkspaceToml> = {}): WorkspaceToml => ({ workdir: '/app', mounts: [app, cache], ...extra });

const change = (current: WorkspaceToml, wanted: Partial<WorkspaceChange>) => {
  const { edits, covered } = planWorkspaceChange(current, { ...NOTHING, ...wanted }, '/home/op');
  return { after: applyEdits(current, edits) as unknown as WorkspaceToml, edits, covered };
};

describe('a change of a workspace', () => {
  it('is nothing when it says what is so already', () => {
    const current = workspace({ default_role: 'a', default_agent: 'kimi', git_pull_on_entry: true, keep_awake: { enabled: true }, allowed_roles: ['a'] });
    expect(change(current, { workdir: '/app', defaultRole: 'a', defaultAgent: 'kimi', gitPull: true, keepAwake: true, allowRoles: ['a'], mounts: [{ src: '/cache', dst: '/cache', readonly: true }] }).edits).toEqual([]);
    expect(change(workspace(), { defaultRole: null, defaultAgent: null, gitPull: false, keepAwake: false }).edits).toEqual([]);
  });

  it('sets and clears single keys; git_pull_on_entry is left out when false', () => {
    expect(change(workspace(), { defaultRole: 'a', gitPull: true, keepAwake: true }).after).toMatchObject({ default_role: 'a', git_pull_on_entry: true, keep_awake: { enabled: true } });
    const { after } = change(workspace({ default_role: 'a', git_pull_on_entry: true }), { defaultRole: null, gitPull: false });
    expect(after).toEqual(workspace());
  });

  it('adds a mount behind the others, and changes the one with the same destination', () => {
    expect(change(workspace(), { mounts: [{ src: '/x', dst: '/x', readonly: false }] }).after.mounts).toEqual([app, cache, { src: '/x', dst: '/x', readonly: false, isolation: 'shared' }]);
    expect(change(workspace(), { mounts: [{ src: '/other', dst: '/cache/', readonly: false }] }).after.mounts).toEqual([app, { ...cache, src: '/other', readonly: false }]);
  });

  it('removes and adds in one go without mixing up which is which', () => {
    const { after } = change(workspace(), { removeDestinations: ['/app'], mounts: [{ src: '/x', dst: '/x', readonly: true }, { src: '/c2', dst: '/cache', readonly: true }] });
    expect(after.mounts).toEqual([{ ...cache, src: '/c2' }, { src: '/x', dst: '/x', readonly: true, isolation: 'shared' }]);
  });

  it('removes several mounts that stand one behind the other', () => {
    const last: MountToml = { src: '/x', dst: '/x', readonly: false, isolation: 'shared' };
    expect(change(workspace({ mounts: [app, cache, last] }), { removeDestinations: ['/app', '/cache'] }).after.mounts).toEqual([last]);
  });

  it('writes the isolation of every mount out, and touches nothing else of the others', () => {
    const bare = { src: '/src/app', dst: '/app' };
    expect(change(workspace({ mounts: [bare] }), { defaultRole: 'a' }).after.mounts).toEqual([{ ...bare, isolation: 'shared' }]);
    expect(change(workspace(), { isolations: [{ dst: '/app', isolation: 'worktree' }] }).after.mounts[0]).toEqual({ ...app, isolation: 'worktree' });
  });

  it('allows roles and no longer; without any left every role may', () => {
    const current = workspace({ allowed_roles: ['a', 'b'] });
    expect(change(current, { allowRoles: ['c', 'c'], disallowRoles: ['a'] }).after.allowed_roles).toEqual(['b', 'c']);
    expect(change(current, { disallowRoles: ['a', 'b'] }).after).not.toHaveProperty('allowed_roles');
  });

  it.each<[string, Partial<WorkspaceChange>, RegExp]>([
    ['a destination to remove', { removeDestinations: ['/ap'] }, /--remove-destination \/ap: no mount has this destination/],
    ['a destination to isolate', { isolations: [{ dst: '/nope', isolation: 'clone' }] }, /--mount-isolation \/nope: no mount has this destination/],
    ['a role that is not listed', { disallowRoles: ['x'] }, /--remove-allowed-role x: the workspace does not list this role/],
  ])('refuses %s that there is not', (_what, wanted, message) => {
    expect(() => change(workspace(), wanted)).toThrow(message);
  });

  it('leaves out a new mount that is covered, and old ones that a new one covers', () => {
    const inside = change(workspace(), { mounts: [{ src: '/src/app/lib', dst: '/app/lib', readonly: false }] });
    expect(inside.covered.map(({ mount, by }) => [mount.dst, by.dst])).toEqual([['/app/lib', '/app']]);
    expect(inside.edits).toEqual([]);
    const lib: MountToml = { src: '/src/app', dst: '/all/app', readonly: false, isolation: 'shared' };
    const { after } = change(workspace({ mounts: [lib, cache] }), { mounts: [{ src: '/src', dst: '/all', readonly: false }] });
    expect(after.mounts.map(({ dst }) => dst)).toEqual(['/cache', '/all']);
  });

  it('leaves alone what was nested before', () => {
    const secret: MountToml = { src: '/src/app/secret', dst: '/app/secret', readonly: true, isolation: 'shared' };
    const twin: MountToml = { src: '/src/app/lib', dst: '/app/lib', readonly: false, isolation: 'shared' };
    const nested = workspace({ mounts: [app, secret, twin] });
    expect(change(nested, { gitPull: true }).after.mounts).toEqual([app, secret, twin]);
    expect(change(nested, { mounts: [{ src: '/x', dst: '/x', readonly: false }] }).after.mounts).toHaveLength(4);
  });
});

describe('a covered mount', () => {
  const covered = (...mounts: MountToml[]) => coveredMounts(mounts, '/home/op').map(({ mount, by }) => [mount.dst, by.dst]);

  it('is one that another shows at the same place, with ~ and slashes aside', () => {
    expect(covered(app, { src: '/src/app/x', dst: '/app/x' })).toEqual([['/app/x', '/app']]);
    expect(covered({ src: '~/app/', dst: '/app/' }, { src: '/home/op/app/x', dst: '/app/x/' })).toEqual([['/app/x/', '/app/']]);
    expect(covered({ src: '/', dst: '/host' }, { src: '/etc', dst: '/host/etc' })).toEqual([['/host/etc', '/host']]);
  });

  it('is the later one of twins', () => {
    expect(covered(app, { ...app })).toEqual([['/app', '/app']]);
  });

  it('is none that shows other files there, or other files beside', () => {
    expect(covered(app, { src: '/src/other', dst: '/app/x' })).toEqual([]);
    expect(covered(app, { src: '/src/app2', dst: '/app2' })).toEqual([]);
  });

  it('is none that is isolated in another way', () => {
    expect(covered(app, { src: '/src/app/x', dst: '/app/x', isolation: 'clone' })).toEqual([]);
  });

  it('may not have another access than what covers it', () => {
    expect(() => covered(app, { src: '/src/app/x', dst: '/app/x', readonly: true })).toThrow(/show the same files with different access/);
  });
});
