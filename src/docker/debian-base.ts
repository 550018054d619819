import { constants } from 'node:fs';
import { access, chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { execa } from 'execa';
import { JackinError, messageOf } from '../shared/errors.ts';
import { endGroupWith } from '../shared/process-group.ts';
import { keyOf } from './content-key.ts';
import type { Engine, LongCall } from './engine.ts';
import type { Env } from './find-endpoint.ts';
import { MANAGED } from './labels.ts';

const SUITE = 'trixie';
const OFFICIAL = ['debian:trixie-slim', 'debian:trixie'];
const EXCLUDED = ['doc', 'info', 'lintian', 'locale', 'man'].map((name) => `path-exclude=/usr/share/${name}/*`);
const MMDEBSTRAP_ARGS = [
  '--variant=minbase',
  '--include=ca-certificates',
  ...EXCLUDED.map((option) => `--dpkgopt=${option}`),
  '--quiet',
  SUITE,
  '-',
];
const DEBOOTSTRAP_ARGS = ['--variant=minbase', '--include=ca-certificates', SUITE];

export interface Base {
  reference: string;
  /** For people: where it came from. */
  how: string;
}

interface Making {
  env: Env;
  /** Makes it anew, although it is there. */
  fresh: boolean;
}

interface Way {
  name: string;
  /** Whether this way is open here. */
  isOpen: (engine: Engine, env: Env) => Promise<boolean>;
  /** Undefined: it is not. */
  make: (engine: Engine, making: Making, call: LongCall) => Promise<Base | undefined>;
}

/** Where a program is, on PATH or where system programs are that not everybody has on it. */
const findProgram = async (name: string, env: Env): Promise<string | undefined> => {
  const folders = [...(env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin'].filter((folder) => path.isAbsolute(folder));
  for (const folder of folders) {
    const file = path.join(folder, name);
    const there = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (there) return file;
  }
  return undefined;
};

/** A killed bootstrap may leave /proc or /sys mounted inside; removing files through such a mount would be grave. */
const removeRootfs = async (directory: string): Promise<void> => {
  const mounted = async (): Promise<string[]> => {
    const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
    return table.split('\n').flatMap((line) => {
      const point = line.split(' ')[4] ?? '';
      return point.startsWith(`${directory}/`) ? [point] : [];
    });
  };
  for (const point of (await mounted()).reverse()) await execa('umount', ['-l', point], { reject: false });
  // Without root, what a killed bootstrap leaves may belong to a mapped user that we cannot remove.
  if ((await mounted()).length === 0) await rm(directory, { recursive: true, force: true }).catch(() => undefined);
};

interface Program {
  file: string;
  args: string[];
  env: Env;
}

/**
 * Starts a program in a process group of its own, all of which ends with the
 * signal: a bootstrap that is told to stop by itself lets its package manager finish.
 */
const start = (program: Program, signal: AbortSignal | undefined) => {
  signal?.throwIfAborted();
  const child = execa(program.file, program.args, {
    env: { ...program.env, LC_ALL: 'C' },
    extendEnv: false,
    stdin: 'ignore',
    buffer: { stdout: false },
    detached: true,
  });
  return { child, stop: endGroupWith(child, signal) };
};

const importOutput = async (engine: Engine, reference: string, program: Program, call: LongCall): Promise<void> => {
  const { child, stop } = start(program, call.signal);
  // The tar ends only when the program has ended well: half a root file system is no image.
  const tar = new PassThrough();
  child.stdout.pipe(tar, { end: false });
  const ended = child.then(
    () => tar.end(),
    (error: unknown) => {
      tar.destroy(new Error(`${path.basename(program.file)} failed`, { cause: error }));
      throw error;
    },
  );
  const changes = [...Object.entries(MANAGED).map(([key, value]) => `LABEL ${key}=${value}`), 'ENV LANG=C.UTF-8'];
  const imported = engine.importImage(reference, tar, changes, call);
  imported.catch(stop);
  const [made, taken] = await Promise.allSettled([ended, imported]);
  call.signal?.throwIfAborted();
  if (made.status === 'rejected') throw made.reason;
  if (taken.status === 'rejected') throw taken.reason;
};

const localImage: Way = {
  name: `local image ${OFFICIAL.join(' or ')}`,
  isOpen: async (engine) => (await localImage.make(engine, { env: {}, fresh: false }, {})) !== undefined,
  make: async (engine) => {
    for (const reference of OFFICIAL) {
      if ((await engine.imageId(reference)) !== undefined) return { reference, how: `on ${reference}` };
    }
    return undefined;
  },
};

const bootstrapped = (
  name: 'mmdebstrap' | 'debootstrap',
  args: string[],
  produce: (engine: Engine, reference: string, file: string, env: Env, call: LongCall) => Promise<void>,
): Way => ({
  name,
  isOpen: async (_engine, env) => (name === 'mmdebstrap' || process.getuid?.() === 0) && (await findProgram(name, env)) !== undefined,
  make: async (engine, { env, fresh }, call) => {
    const reference = `jackin-local/debian:${SUITE}-${keyOf(name, ...args)}`;
    const base = { reference, how: `on Debian packages (${name})` };
    if (!fresh && (await engine.imageId(reference)) !== undefined) return base;
    const file = await findProgram(name, env);
    if (file === undefined) return undefined;
    call.onLine?.(`making a Debian ${SUITE} base with ${name}`);
    await produce(engine, reference, file, env, call);
    return base;
  },
});

const withTemporary = async (run: (directory: string) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(path.join(tmpdir(), 'jackin-debian-'));
  try {
    // The package manager drops to a user of its own and must reach what is inside.
    await chmod(directory, 0o755);
    await run(directory);
  } finally {
    await removeRootfs(directory);
  }
};

const mmdebstrap = bootstrapped('mmdebstrap', MMDEBSTRAP_ARGS, async (engine, reference, file, env, call) => {
  await withTemporary(async (TMPDIR) => {
    await importOutput(engine, reference, { file, args: MMDEBSTRAP_ARGS, env: { ...env, TMPDIR } }, call);
  });
});

const debootstrap = bootstrapped('debootstrap', DEBOOTSTRAP_ARGS, async (engine, reference, file, env, call) => {
  if (process.getuid?.() !== 0) throw new Error('it needs to be run as root');
  await withTemporary(async (directory) => {
    const { child } = start({ file, args: [...DEBOOTSTRAP_ARGS, path.join(directory, 'root')], env }, call.signal);
    child.stdout.resume();
    await child;
    const args = ['--numeric-owner', '--one-file-system', '-C', path.join(directory, 'root'), '-cf', '-', '.'];
    await importOutput(engine, reference, { file: 'tar', args, env }, call);
  });
});

const pulled: Way = {
  name: `pulling ${OFFICIAL[0]}`,
  isOpen: async () => true,
  make: async (engine, _making, call) => {
    const [reference = ''] = OFFICIAL;
    await engine.pullImage(reference, call);
    return { reference, how: `on ${reference} (pulled)` };
  },
};

const lastLine = (error: unknown): string => {
  const stderr: unknown = error !== null && typeof error === 'object' ? Reflect.get(error, 'stderr') : undefined;
  const text = typeof stderr === 'string' && stderr.trim() !== '' ? stderr : messageOf(error);
  return text.trim().split('\n').at(-1) ?? '';
};

const WAYS = [localImage, mmdebstrap, debootstrap, pulled];

/** Name of the way that `debianBase` would try first; makes nothing. */
export const firstWay = async (engine: Engine, env: Env): Promise<string> => {
  for (const way of WAYS) if (await way.isOpen(engine, env)) return way.name;
  return pulled.name;
};

/** A Debian image to build the construct on, by the first way that is open on this machine. */
export const debianBase = async (engine: Engine, making: Making, call: LongCall): Promise<Base> => {
  const reasons: string[] = [];
  for (const way of WAYS) {
    try {
      const base = await way.make(engine, making, call);
      if (base !== undefined) return base;
      reasons.push(`  ${way.name}: not here`);
    } catch (error) {
      if (call.signal?.aborted) throw new JackinError('interrupted', 'making the Debian base: interrupted', { cause: error });
      if (error instanceof JackinError && (error.code === 'disk.full' || error.code === 'engine.unreachable')) throw error;
      reasons.push(`  ${way.name}: ${lastLine(error)}`);
    }
  }
  throw new JackinError('build.failed', ['there is no Debian base to build the construct on; tried:', ...reasons].join('\n'), {
    hint: 'install mmdebstrap (apt-get install mmdebstrap), or set JACKIN_CONSTRUCT_IMAGE to an image that you have',
  });
};
