import { chmod, mkdir, mkdtemp, open, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packContext } from '../../../src/docker/build-context.ts';
import { constructReference, ensureConstruct } from '../../../src/docker/construct.ts';
import type { BuildSpec } from '../../../src/docker/engine.ts';
import { directoryKey, keyOf } from '../../../src/docker/content-key.ts';
import { ensureRoleImage, roleImageTag } from '../../../src/docker/role-image.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { fakeEngine, filesOfTar, type FakeOptions } from '../../fakes/engine.ts';

const packageRoot = path.resolve(import.meta.dirname, '../../..');
let directory: string;
beforeEach(async () => (directory = await mkdtemp(path.join(tmpdir(), 'jackin-images-'))));
afterEach(async () => await rm(directory, { recursive: true }));

const write = async (name: string, text: string): Promise<void> => {
  await mkdir(path.dirname(path.join(directory, name)), { recursive: true });
  await writeFile(path.join(directory, name), text);
};

/** A program that stands in for mmdebstrap or debootstrap. */
const program = async (name: string, script: string): Promise<string> => {
  await write(`bin/${name}`, `#!/bin/sh\n${script}\n`);
  await chmod(path.join(directory, 'bin', name), 0o755);
  return path.join(directory, 'bin');
};

describe('keys', () => {
  test('change with any name, byte or executable bit, and with nothing else', async () => {
    await write('a', 'one');
    await write('sub/b', 'two');
    await write('.git/HEAD', 'x');
    const key = await directoryKey(directory);
    expect(key).toMatch(/^[0-9a-f]{12}$/);
    await write('.git/HEAD', 'y');
    expect(await directoryKey(directory)).toBe(key);
    await write('a', 'On e');
    const changed = await directoryKey(directory);
    await write('a', 'one');
    await chmod(path.join(directory, 'a'), 0o755);
    const executable = await directoryKey(directory);
    await chmod(path.join(directory, 'a'), 0o644);
    await write('c', '');
    expect(new Set([key, changed, executable, await directoryKey(directory)]).size).toBe(4);
  });

  test('parts do not run into each other', () => {
    expect(keyOf('ab', 'c')).not.toBe(keyOf('a', 'bc'));
  });

  test('of a role image: role, content, Dockerfile and construct', () => {
    const role = { key: 'Owner/agent-smith', content: 'c1', dockerfile: 'Dockerfile', hooks: [], constructKey: 'k1' };
    const tag = roleImageTag(role);
    expect(tag).toMatch(/^jackin-local\/role-owneragentsmith:[0-9a-f]{12}$/);
    const others = [{ content: 'c2' }, { dockerfile: 'sub/Dockerfile' }, { constructKey: 'k2' }, { hooks: [{ name: 'source' as const, file: 'a.sh' }] }].map((change) => roleImageTag({ ...role, ...change }));
    expect(new Set([tag, ...others]).size).toBe(5);
    expect(roleImageTag({ ...role, key: '../..' })).toMatch(/^jackin-local\/role-role:/);
  });
});

describe('a build context', () => {
  test('holds the plain files, without .git, with one text replaced', async () => {
    await write('Dockerfile', 'FROM x');
    await write('sub/tool', 'tool');
    await chmod(path.join(directory, 'sub/tool'), 0o700);
    await write('.git/config', 'x');
    const files = await filesOfTar(await packContext(directory, { dockerfile: 'Dockerfile', text: 'something longer' }));
    expect([...files].map(([name, { content, mode }]) => [name, content.toString(), mode])).toEqual([
      ['Dockerfile', 'something longer', 0o644],
      ['sub/tool', 'tool', 0o755],
    ]);
  });

  test('refuses links by name, also dangling ones and links to directories', async () => {
    await write('Dockerfile', '');
    await symlink('/etc', path.join(directory, 'etc'));
    await expect(packContext(directory, { dockerfile: 'Dockerfile', text: '' })).rejects.toMatchObject({ code: 'build.failed', message: expect.stringMatching(/^etc in .* is a link/) });
  });

  test('that is too big names its biggest files', async () => {
    for (const [name, size] of [['a', 300], ['b', 1], ['c', 20], ['d', 10]] as const) {
      const file = await open(path.join(directory, name), 'w');
      await file.truncate(size * 1024 * 1024);
      await file.close();
    }
    await expect(packContext(directory, { dockerfile: 'Dockerfile', text: '' })).rejects.toThrow('331.0 MiB, more than 256.0 MiB. The biggest files: a (300.0 MiB), c (20.0 MiB), d (10.0 MiB).');
  });
});

describe('the image of a role', () => {
  const spec = () => ({ roleDir: directory, dockerfile: 'Dockerfile', hooks: [], constructReference: 'construct:1', tag: 'role:1', labels: { 'jackin.role.git.sha': 'abc' } });

  test('is the role\'s Dockerfile on the construct, with the layer of jackin', async () => {
    await write('Dockerfile', 'FROM projectjackin/construct:trixie\nRUN x');
    const engine = fakeEngine();
    expect(await ensureRoleImage(engine, spec(), {})).toMatchObject({ built: true });
    const lines = engine.dockerfiles[0]?.split('\n') ?? [];
    expect(lines.slice(0, 3)).toEqual(['FROM construct:1', 'RUN x', 'USER 0']);
    expect(lines[3]).toContain('ln -s handoff/current/kimi-code /jackin/kimi-code');
    expect(await engine.listImages({ 'jackin.managed': 'true', 'jackin.role.git.sha': 'abc' })).toHaveLength(1);
    expect(await ensureRoleImage(engine, spec(), {})).toMatchObject({ built: false });
    expect(engine.calls).toEqual(['buildImage role:1']);
  });

  test('that fails to build tells the place and the last fifteen lines', async () => {
    await write('Dockerfile', 'FROM projectjackin/construct:trixie\n\nRUN x');
    const build: FakeOptions['build'] = (_text, say) => {
      say('Step 2/4 : RUN x');
      for (let line = 1; line <= 20; line += 1) say(`line ${line}`);
      return 'it broke';
    };
    const error = await ensureRoleImage(fakeEngine({ build }), spec(), {}).catch((caught: unknown) => caught);
    const expected = Array.from({ length: 15 }, (_each, index) => `  | line ${index + 6}`);
    expect(error).toMatchObject({ code: 'build.failed', message: ['it broke at Dockerfile:3: RUN x', ...expected].join('\n') });
  });

  const builderFor = async (line: string, builder?: string, apiVersion = '1.41'): Promise<unknown> => {
    await write('Dockerfile', `FROM projectjackin/construct:trixie\n${line}`);
    let used: unknown;
    const buildImage = async (request: BuildSpec): Promise<void> => {
      used = request.builder;
      await filesOfTar(request.context);
    };
    const engine = { ...fakeEngine(), apiVersion, buildImage, imageId: async () => (used === undefined ? undefined : 'sha256:1') };
    return await ensureRoleImage(engine, { ...spec(), builder }, {}).then(() => used, (error: unknown) => error);
  };

  test.each([
    ['RUN make', undefined, 'classic'],
    ['RUN make', 'buildkit', 'buildkit'],
    ['RUN --mount=type=cache,target=/x make', undefined, 'buildkit'],
    ['COPY --chmod=755 a b', '', 'buildkit'],
  ])('is built by the builder that %j needs, or that JACKIN_BUILDER=%s names: %s', async (line, wanted, used) => {
    expect(await builderFor(line, wanted)).toBe(used);
  });

  test('what no builder here can build is said with its place', async () => {
    expect(await builderFor('RUN --mount=type=cache,target=/x make', 'classic')).toMatchObject({ code: 'build.failed', message: expect.stringContaining('Dockerfile:2: RUN --mount=type=cache,target=/x needs BuildKit') });
    expect(await builderFor('RUN <<EOF\nmake\nEOF')).toMatchObject({ code: 'build.failed', message: expect.stringContaining('Dockerfile:2: RUN with a text that follows it (<<) needs Docker 23 or newer') });
    expect(await builderFor('RUN <<EOF\nmake\nEOF', undefined, '1.42')).toBe('buildkit');
    expect(await builderFor('RUN make', 'kaniko')).toMatchObject({ code: 'usage', message: 'JACKIN_BUILDER=kaniko: expected classic or buildkit' });
  });

  test('without a Dockerfile says where it was looked for', async () => {
    await expect(ensureRoleImage(fakeEngine(), spec(), {})).rejects.toMatchObject({ code: 'build.failed', message: expect.stringContaining(`at Dockerfile (looked in ${directory})`) });
  });
});

describe('the published image of a role', () => {
  const digest = `sha256:${'d'.repeat(64)}`;
  const pinned = `registry.test:5000/acme/role@${digest}`;
  const published = { reference: 'registry.test:5000/acme/role:v1', digest };
  const spec = () => ({ roleDir: directory, dockerfile: 'Dockerfile', hooks: [], constructReference: 'construct:1', tag: 'role:1', labels: {}, published });
  beforeEach(async () => await write('Dockerfile', 'FROM projectjackin/construct:trixie\nRUN x'));

  test('is pulled by its digest, never by its name, once, and gets the layer of jackin', async () => {
    const engine = fakeEngine({ pullable: [pinned, published.reference] });
    await ensureRoleImage(engine, spec(), {});
    expect(engine.calls).toEqual([`pullImage ${pinned}`, 'buildImage role:1']);
    expect(engine.dockerfiles[0]).toMatch(new RegExp(`^FROM ${pinned}\n\nUSER 0\nRUN `));
    await ensureRoleImage(engine, { ...spec(), tag: 'role:2' }, {});
    expect(engine.calls.slice(2)).toEqual(['buildImage role:2']);
  });

  test.each([
    ['has a volume where jackin mounts', { Volumes: { '/home': {} } }, 'it has a volume /home, where jackin itself mounts'],
    ['has instructions for whoever builds on it', { OnBuild: ['USER x'] }, 'it has ONBUILD instructions'],
  ])('that %s is left, and that is said', async (_name, Config, why) => {
    const engine = { ...fakeEngine({ images: [pinned] }), inspect: async () => ({ Config }) };
    const told: string[] = [];
    await ensureRoleImage(engine, spec(), { onLine: (line) => void told.push(line) });
    expect(told[0]).toBe(`${pinned} is not used (${why}): the role is built from its Dockerfile`);
    expect(engine.dockerfiles[0]).toMatch(/^FROM construct:1\nRUN x\n/);
  });

  test('that cannot be pulled because the engine is gone does not turn into a build', async () => {
    const engine = { ...fakeEngine(), pullImage: async () => await Promise.reject(new JackinError('engine.unreachable', 'gone')) };
    await expect(ensureRoleImage(engine, spec(), {})).rejects.toThrow('gone');
    expect(engine.dockerfiles).toEqual([]);
  });

  test('its digest is a part of the tag', () => {
    const role = { key: 'a', content: 'c', dockerfile: 'Dockerfile', hooks: [], constructKey: 'k' };
    expect(new Set([roleImageTag(role), roleImageTag({ ...role, published }), roleImageTag({ ...role, published: { ...published, digest: `sha256:${'e'.repeat(64)}` } })]).size).toBe(3);
    expect(roleImageTag({ ...role, published: { ...published, reference: 'other' } })).toBe(roleImageTag({ ...role, published }));
  });
});

describe('the construct', () => {
  const EMPTY_PATH = { PATH: '/nonexistent' };

  test('that is present is used as it is', async () => {
    const reference = await constructReference(packageRoot);
    const engine = fakeEngine({ images: [reference] });
    expect(await ensureConstruct(engine, { packageRoot, env: EMPTY_PATH }, {})).toMatchObject({ reference, key: reference, built: false });
    expect(engine.calls).toEqual([]);
  });

  test('is built on a local Debian image first of all', async () => {
    const engine = fakeEngine({ images: ['debian:trixie'] });
    expect(await ensureConstruct(engine, { packageRoot, env: EMPTY_PATH }, {})).toMatchObject({ built: true, how: 'on debian:trixie' });
    expect(engine.calls).toEqual([`buildImage ${await constructReference(packageRoot)}`]);
  });

  test('else on what mmdebstrap makes, kept for the next time', async () => {
    const PATH = await program('mmdebstrap', 'case "$*" in *trixie*) head -c 10240 /dev/zero;; *) exit 1;; esac');
    const engine = fakeEngine();
    expect(await ensureConstruct(engine, { packageRoot, env: { PATH: `${PATH}:/usr/bin:/bin` } }, {})).toMatchObject({ how: 'on Debian packages (mmdebstrap)' });
    expect(engine.calls[0]).toMatch(/^importImage jackin-local\/debian:trixie-[0-9a-f]{12}$/);
    await engine.removeImage(await constructReference(packageRoot));
    engine.calls.length = 0;
    await ensureConstruct(engine, { packageRoot, env: { PATH } }, {});
    expect(engine.calls.map((call) => call.split(' ')[0])).toEqual(['buildImage']);
  });

  test('a bootstrap that fails half-way is no image', async () => {
    const PATH = await program('mmdebstrap', 'head -c 10240 /dev/zero; echo "E: no mirror" >&2; exit 1');
    await program('debootstrap', 'exit 1');
    const engine = fakeEngine();
    const env = { PATH: `${PATH}:/usr/bin:/bin` };
    await expect(ensureConstruct(engine, { packageRoot, env }, {})).rejects.toMatchObject({
      code: 'build.failed',
      message: expect.stringContaining('mmdebstrap: E: no mirror'),
      hint: expect.stringMatching(/mmdebstrap.*JACKIN_CONSTRUCT_IMAGE/),
    });
    expect(await engine.listImages({})).toEqual([]);
  });

  test('an interrupted bootstrap is stopped, and its temporary directory is gone', async () => {
    const note = path.join(directory, 'note');
    const PATH = await program('mmdebstrap', `echo "$$ $TMPDIR" > ${note}; exec sleep 100`);
    const abort = new AbortController();
    const building = ensureConstruct(fakeEngine(), { packageRoot, env: { PATH: `${PATH}:/usr/bin:/bin` } }, { signal: abort.signal });
    const ended = building.catch((error: unknown) => error);
    await expect.poll(async () => await readFile(note, 'utf8').catch(() => '')).toContain('jackin-debian-');
    const [pid = '', temporary = ''] = (await readFile(note, 'utf8')).trim().split(' ');
    abort.abort();
    expect(await ended).toMatchObject({ code: 'interrupted' });
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
    await expect(stat(temporary)).rejects.toThrow('ENOENT');
  });

  test('else on a Debian image that is pulled', async () => {
    const PATH = await program('mmdebstrap', 'exit 1');
    await program('debootstrap', 'exit 1');
    const engine = fakeEngine({ pullable: ['debian:trixie-slim'] });
    expect(await ensureConstruct(engine, { packageRoot, env: { PATH: `${PATH}:/usr/bin:/bin` } }, {})).toMatchObject({ how: 'on debian:trixie-slim (pulled)' });
  });

  test('JACKIN_CONSTRUCT_IMAGE is used when it is there, and pulled when it is not', async () => {
    const engine = fakeEngine({ images: ['mine:1'], pullable: ['other:1'] });
    const named = { packageRoot, env: EMPTY_PATH };
    expect(await ensureConstruct(engine, { ...named, override: 'mine:1' }, {})).toMatchObject({ reference: 'mine:1', key: expect.stringMatching(/^sha256:/), built: false });
    expect(await ensureConstruct(engine, { ...named, override: 'other:1' }, {})).toMatchObject({ how: 'named by JACKIN_CONSTRUCT_IMAGE, pulled' });
    await expect(ensureConstruct(engine, { ...named, override: 'absent:1' }, {})).rejects.toThrow('absent:1');
    expect(engine.calls).toEqual(['pullImage other:1', 'pullImage absent:1']);
  });
});
