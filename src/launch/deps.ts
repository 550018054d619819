import type { Readable, Writable } from 'node:stream';
import type { Paths } from '../config/paths.ts';
import type { CapsuleLimits } from '../docker/capsule-limits.ts';
import type { Engine } from '../docker/engine.ts';
import type { SignalSource } from '../docker/terminal.ts';

/** Everything of the outside world that a command may touch. Only `main.ts` fills it from the real process. */
export interface Deps {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** The operator's home directory. */
  home: string;
  uid: number;
  gid: number;
  stdin: Readable & { isTTY?: boolean; setRawMode?: (on: boolean) => unknown };
  stdout: Writable & { isTTY?: boolean; columns?: number; rows?: number };
  stderr: Writable & { isTTY?: boolean; columns?: number };
  /** The system this runs on; the real one when it is left out. */
  platform?: NodeJS.Platform;
  now: () => Date;
  /** Name of the operator's time zone, such as `Europe/Berlin`; undefined when nobody knows. */
  timeZone?: () => string | undefined;
  randomBytes: (count: number) => Uint8Array;
  /** Folder of the installed package: `roles/`, `construct/`, `dist/`. */
  packageRoot: string;
  version: string;
  /** The secret of a service in the password store of macOS; left out elsewhere. */
  keychain?: (service: string) => Promise<string | undefined>;
  /** Starts the keeper of this jackin home as a process of its own, which ends by itself; whether it came up is not told. */
  startKeeper: (paths: Paths) => Promise<void>;
  connectEngine: (env: Readonly<Record<string, string | undefined>>) => Promise<Engine>;
  /** In place of how long a container may usually take to answer. */
  capsuleLimits?: Partial<CapsuleLimits>;
  /** Where the process hears of signals: `process`. */
  signals: SignalSource;
  /** Aborted by Ctrl-C, SIGTERM and SIGHUP. */
  signal: AbortSignal;
}
