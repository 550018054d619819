import { describe, expect, it } from 'vitest';
import type { MountFacts } from '../../../src/plan/facts.ts';
import { LOGIN, planOf } from './world.ts';

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

  it.each(['/run', '/var/run', '/run/podman'])('are never a directory with the engine’s socket in it: %s', (source) => {
    expect(() => withMount(source, '/x')).toThrow(/root on this machine/);
  });

  it.each(['/proc', '/proc/1/root', '/proc/self'])('are never the processes of this machine: %s', (source) => {
    expect(() => withMount(source, '/x')).toThrow(/every process of this machine/);
  });

  it.each([
    ['/home', { jackinHome: '/srv/jackin' }, /your home directory/],
    ['/srv', { jackinHome: '/srv/jackin' }, /holds \/srv\/jackin, with the state and logins/],
    ['/etc/jackin', { configDir: '/etc/jackin' }, /\/etc\/jackin holds credentials/],
    ['/home/op/.config', {}, /it holds \/home\/op\/\.config\/gcloud, with credentials in it/],
    ['/home/op/.local/share', {}, /with credentials in it/],
    ['/mnt', {}, /\/mnt\/logins\/kimi, with credentials in it/],
  ])('need consent also above what they must not show, wherever that is: %s', (source, paths, why) => {
    const elsewhere = { jackinHome: '/home/op/.jackin', dataDir: '/home/op/.jackin/data', operatorHome: '/home/op', configDir: '/home/op/.config/jackin', ...paths };
    const { consents } = planOf({
      request: { mounts: [{ source, target: '/x', readonly: false }] },
      facts: {
        paths: elsewhere,
        logins: { kimi: { ...LOGIN, dir: '/mnt/logins/kimi' } },
        mounts: ['/home/op/app', source].map((path) => ({ source: path, real: path, kind: 'directory' })),
      },
    });
    expect(consents).toMatchObject([{ path: source, given: false, why: expect.stringMatching(why) }]);
  });

  it('are judged by what a link points at', () => {
    expect(withMount('/tmp/link', '/x', { real: '/home/op/.ssh' }).consents).toHaveLength(1);
  });

  it('are mounted where they really are, so that a link cannot be turned after it was judged', () => {
    const { mounts } = withMount('/tmp/link', '/x', { real: '/srv/data' });
    expect(mounts.find(({ target }) => target === '/x')).toMatchObject({ source: '/srv/data' });
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
