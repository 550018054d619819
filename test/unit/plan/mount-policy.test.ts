import { describe, expect, it } from 'vitest';
import type { MountFacts } from '../../../src/plan/facts.ts';
import { planOf } from './world.ts';

/** A launch of /home/op/app with one more mount, whose source really is at `real`. */
const withMount = (source: string, target: string, facts: Partial<MountFacts> = {}, allowedMounts: string[] = []) =>
  planOf({
    request: { mounts: [{ source, target, readonly: false }], allowedMounts },
    facts: {
      mounts: [
        { source: '/home/op/app', real: '/home/op/app', kind: 'directory' },
        { source, real: source, kind: 'directory', ...facts },
      ],
    },
  });

describe('mount sources', () => {
  it('must exist', () => {
    expect(() => withMount('/nope', '/nope', { real: undefined, kind: 'missing' })).toThrow(/mount source \/nope does not exist \(command line\)/);
  });

  it('are never the file system, the engine’s socket, or jackin’s own state', () => {
    expect(() => withMount('/', '/host')).toThrow(/whole file system/);
    expect(() => withMount('/x', '/x', { real: '/run/docker.sock', kind: 'socket' })).toThrow(/socket/);
    expect(() => withMount('/home/op/.jackin/data/jk-1', '/x')).toThrow(/state and logins of other instances/);
    expect(() => withMount('/home/op/alias', '/x', { real: '/home/op/.jackin' })).toThrow(/state and logins/);
  });

  it.each(['/home/op', '/home', '/home/op/.ssh', '/home/op/.ssh/keys', '/home/op/.kimi-code', '/home/op/.config/gh'])(
    'need consent: %s',
    (source) => {
      expect(withMount(source, '/x').consents).toMatchObject([{ path: source, given: false }]);
      expect(withMount(source, '/x', {}, [source]).consents).toMatchObject([{ path: source, given: true }]);
    },
  );

  it('are judged by what a link points at', () => {
    expect(withMount('/tmp/link', '/x', { real: '/home/op/.ssh' }).consents).toHaveLength(1);
  });

  it('ask for nothing in an ordinary directory', () => {
    expect(withMount('/srv/data', '/data').consents).toEqual([]);
    expect(withMount('/home/op/.sshuttle', '/x').consents).toEqual([]);
  });
});

describe('mount destinations', () => {
  it.each(['/jackin', '/jackin/handoff', '/home/agent', '/home/agent/.kimi-code', '/home/agent/.local', '/proc/x', '/etc', '/usr', '/'])('are refused: %s', (target) => {
    expect(() => withMount('/srv/data', target)).toThrow(/cannot be a mount's destination/);
  });

  it.each(['/home/agent/.gradle', '/data', '/usr/local/share/x', '/etc/app'])('are fine: %s', (target) => {
    expect(withMount('/srv/data', target).mounts.some((mount) => mount.target === target)).toBe(true);
  });

  it('hold one mount each', () => {
    expect(() => withMount('/srv/data', '/home/op/app/')).toThrow(/two mounts on one destination/);
  });
});
