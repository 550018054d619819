/** What a launch does when it is interrupted, killed, crowded or lied to: the real CLI on the real engine. */
import { spawn, spawnSync } from 'node:child_process';
import { chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import { homeId } from '../../scripts/lib/sandbox.mjs';
import { leftoversOf, makeWorld } from './world.ts';
import type { World } from './world.ts';

const NOTHING = { containers: [], networks: [], volumes: [], data: [] };
/** How many moments of a launch are tried: a sample, or all of them in the full run. */
const MOMENTS = process.env.JACKIN_TEST_FULL === '1' ? 40 : 8;
/** Longer than a warm launch takes here. */
const LAUNCH_MS = 1600;

let world: World;

beforeEach(async () => {
  world = await makeWorld('launch');
  // Warm: what is interrupted below is the launch itself, not a download.
  const { code, stderr } = await world.jackin(['prewarm', 'agent-smith']);
  if (code !== 0) throw new Error(stderr);
});

afterEach(async () => {
  await world.remove();
});

const journal = () => readdir(path.join(world.sandbox.dirs.home, 'journal')).catch(() => []);

/** Starts a detached load and sends it a signal after a while. */
const loadAndSignal = async (signal: NodeJS.Signals, afterMs: number) => {
  const child = spawn(process.execPath, [world.sandbox.cli, 'load', 'agent-smith', '--detach'], {
    cwd: world.sandbox.dirs.project,
    env: world.sandbox.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (code, killedBy) => resolve({ code, signal: killedBy }));
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  await sleep(afterMs);
  child.kill(signal);
  const [stdout, stderr] = await output;
  return { ...(await ended), stdout, stderr };
};

/** An instance either stands, whole, or is not there at all. */
const removeWhatStands = async (id: string): Promise<void> => {
  const { stdout } = await world.jackin(['status', '--format', 'json']);
  const { instances } = (JSON.parse(stdout) as { data: { instances: { instance_id: string; state: string }[] } }).data;
  expect(instances).toMatchObject([{ instance_id: id, state: 'running' }]);
  expect((await world.jackin(['eject', id, '--purge'])).code).toBe(0);
};

describe('a launch that is interrupted', () => {
  test('by Ctrl-C leaves nothing, at whatever moment', async () => {
    let interrupted = 0;
    for (let moment = 0; moment < MOMENTS; moment += 1) {
      const run = await loadAndSignal('SIGINT', (LAUNCH_MS * moment) / MOMENTS);
      const id = run.stdout.trim();
      // Its id is printed when the instance stands; a signal after that can only meet the very end of the program.
      if (id !== '') await removeWhatStands(id);
      else interrupted += 1;
      // Before its first line of code runs, a program dies of the signal itself.
      expect(id !== '' || run.code === 130 || run.signal === 'SIGINT', `code ${run.code}, ${run.stderr}`).toBe(true);
      expect(await leftoversOf(world)).toEqual(NOTHING);
      expect(await journal()).toEqual([]);
    }
    expect(interrupted).toBeGreaterThan(0);
  });

  test('by kill -9 leaves nothing after the next command', async () => {
    let dirty = 0;
    for (let moment = 0; moment < MOMENTS; moment += 1) {
      const run = await loadAndSignal('SIGKILL', (LAUNCH_MS * moment) / MOMENTS);
      if ((await journal()).length > 0) dirty += 1;
      if (run.stdout !== '') await removeWhatStands(run.stdout.trim());
      expect((await world.jackin(['status'])).code).toBe(0);
      // Killed between the start of the session and its last line, an instance stands and can be ejected.
      const { containers } = await leftoversOf(world);
      if (containers.length > 0) await world.jackin(['eject', '--all', '--purge']);
      expect(await leftoversOf(world)).toEqual(NOTHING);
      expect(await journal()).toEqual([]);
    }
    expect(dirty).toBeGreaterThan(0);
  });

  test('by a network that does not exist says so and leaves nothing', async () => {
    const { code, stderr } = await world.jackin(['load', 'agent-smith', '--detach', '--network', 'no-such-network']);
    expect(code).toBe(7);
    expect(stderr).toContain('no-such-network');
    expect(await leftoversOf(world)).toEqual(NOTHING);
  });
});

describe('several at once', () => {
  test('get ids, networks and homes of their own', async () => {
    const runs = await Promise.all([1, 2, 3].map(() => world.jackin(['load', 'agent-smith', '--detach'])));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(new Set(runs.map(({ stdout }) => stdout.trim())).size).toBe(3);
    expect((await leftoversOf(world)).networks).toHaveLength(3);
    expect(await world.stateDirs()).toHaveLength(3);
    const purge = await world.jackin(['purge', 'agent-smith', '--all']);
    expect(purge.code).toBe(8);
    await Promise.all([1, 2].map(() => world.jackin(['eject', '--all'])));
    expect((await world.jackin(['purge', '--all'])).code).toBe(0);
    expect(await leftoversOf(world)).toEqual(NOTHING);
  });

  test('of two sandboxes on one engine, neither sees the other', async () => {
    const other = await makeWorld('other');
    try {
      const { stdout } = await other.jackin(['load', 'agent-smith', '--detach']);
      expect((await world.jackin(['eject', stdout.trim()])).code).toBe(7);
      expect((await world.jackin(['eject', '--all', '--purge'])).code).toBe(0);
      expect((await leftoversOf(other)).containers).toHaveLength(1);
    } finally {
      await other.remove();
    }
  });
});

describe('who the container is', () => {
  test.runIf(process.getuid?.() === 0)('for a root operator, is the owner of the workdir, and the agent can work there', async () => {
    await chown(world.sandbox.dirs.project, 1234, 1234);
    const { code, stderr } = await world.jackin(['load', 'agent-smith', '--prompt', 'hello']);
    // Kimi itself ran, and got as far as asking for a login.
    expect(stderr).toContain('No model configured');
    expect(code).toBe(1);
    expect(stderr).toMatch(/user +1234:1234: the owner of the workdir/);
    const [state = ''] = await world.stateDirs();
    expect(await stat(path.join(state, 'home/.kimi-code/device_id'))).toMatchObject({ uid: 1234 });
    expect(await stat(path.join(state, 'handoff'))).toMatchObject({ uid: 1234 });
  });

  test.runIf(process.getuid?.() === 0)('has a name, a home that it can write, ssh and git, whatever its uid; what it writes in a mount is the operator’s', async () => {
    const { project } = world.sandbox.dirs;
    const role = path.join(world.sandbox.dirs.temp, 'look');
    await mkdir(role);
    await writeFile(path.join(role, 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n[hooks]\npreflight = "look.sh"\n');
    await writeFile(path.join(role, 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
    const looks = ['whoami', 'id -u', 'id -g', 'echo "$HOME"', 'mkdir "$HOME/made" && echo home', 'ssh -T -G example.test >/dev/null && echo ssh', 'git -C "$JACKIN_WORKDIR" status --short >/dev/null && echo git'];
    await writeFile(path.join(role, 'look.sh'), `#!/bin/bash\n{ ${looks.join('; ')}; } > "$JACKIN_WORKDIR/seen" 2>&1\n`);
    await execa('git', ['init', '--quiet', project]);
    for (const uid of [54321, 1000]) {
      await execa('chown', ['-R', `${uid}:${uid + 1}`, project]);
      await world.jackin(['load', role, project, '--prompt', 'hello']);
      const file = path.join(project, 'seen');
      expect((await readFile(file, 'utf8')).split('\n')).toEqual(['agent', String(uid), String(uid + 1), '/home/agent', 'home', 'ssh', 'git', '']);
      expect(await stat(file)).toMatchObject({ uid, gid: uid + 1 });
    }
  });

  test('a role cannot get in front of the capsule', async () => {
    const role = path.join(world.sandbox.dirs.project, 'hostile');
    await mkdir(role);
    await writeFile(path.join(role, 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n');
    await writeFile(
      path.join(role, 'Dockerfile'),
      [
        'FROM projectjackin/construct:trixie',
        "RUN echo 'require(\"node:fs\").writeFileSync(\"/tmp/in-front\", \"\")' > /evil.cjs",
        'ENV NODE_OPTIONS=--require=/evil.cjs LD_PRELOAD=/no/such/library.so',
        'VOLUME /data',
        'ENTRYPOINT ["/bin/false"]',
        'CMD ["/bin/false"]',
        'USER nobody',
      ].join('\n'),
    );
    const { code, stderr } = await world.jackin(['load', role, '--prompt', 'hello']);
    expect(stderr).toContain('No model configured');
    expect(code).toBe(1);
    const [container = ''] = await world.containers();
    const changes = (await connectEngine().call('GET', `/containers/${container}/changes`)).body.toString();
    expect(changes).not.toContain('in-front');
  });
});

describe('a full disk', () => {
  test.runIf(process.getuid?.() === 0)('is named, and nothing is left', async () => {
    const { home } = world.sandbox.dirs;
    const before = await homeId(world.sandbox);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', home]);
    expect(mounted.stderr.toString()).toBe('');
    try {
      const { code, stderr } = await world.jackin(['load', 'agent-smith', '--detach']);
      expect(stderr).toMatch(/no space left/i);
      expect(code).toBe(1);
      const id = (await homeId(world.sandbox)) ?? 'none';
      expect((await connectEngine().labelled(`jackin.home=${id}`)).containers).toEqual([]);
    } finally {
      spawnSync('umount', [home]);
    }
    expect(await homeId(world.sandbox)).toBe(before);
  });
});
