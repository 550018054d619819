import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS } from '../agents/agents.ts';
import type { RoleHook } from '../plan/hooks.ts';
import { isErrno, JackinError } from '../shared/errors.ts';
import { packContext } from './build-context.ts';
import { buildWithTail } from './build.ts';
import { keyOf } from './content-key.ts';
import { parseDockerfile, substituteConstruct } from './dockerfile.ts';
import type { Engine, Labels, LongCall } from './engine.ts';
import { MANAGED } from './labels.ts';

const HANDOFFS = Object.values(AGENTS).flatMap((agent) => agent.handoffs);
/** Directories of the home that are mounted: those of the agents, and gh's. */
const HOMES = [...Object.values(AGENTS).flatMap((agent) => agent.homes), '.config/gh'];

/** `.local/share/amp` → `.local`, `.local/share`, `.local/share/amp`: a mount point needs all of them. */
const withParents = (home: string): string[] => {
  const parts = home.split('/');
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
};

/** A variable that moves an agent's directory, with what the agent appends, as a shell writes it. */
const movedBy = (name: string, below: string): string => (below === '' ? `\${${name}%/}` : `\${${name}:+\${${name}%/}/${below}}`);

/**
 * A role may keep an agent's directory elsewhere. What it has put there comes to
 * the usual place, which is durable, and a link leads from one to the other; where
 * that cannot be, the capsule sets the variable right.
 */
const ADOPT = [
  'adopt() {',
  '  case "$1" in "$2"|"$2"/*) return ;; /*) ;; *) return ;; esac',
  '  case "$2" in "$1"/*) return ;; esac',
  '  [ ! -L "$1" ] || return 0',
  '  mkdir -p "$1" "$2"',
  '  cp -a "$1/." "$2/"',
  '  rm -rf "$1"',
  '  ln -s "$2" "$1"',
  '}',
  ...Object.values(AGENTS).map(({ homes: [home], homeVariable: { name, below } }) => `adopt "${movedBy(name, below)}" /home/agent/${home}`),
];

/**
 * What jackin adds to every role. Any uid can then use the home, since the image
 * does not know which one will run in it. `/jackin/run` must not be there: the
 * engine keeps the mode of a directory that exists and ignores the one of the mount.
 */
const layerScript = (): string => {
  const homes = [...new Set(HOMES.flatMap(withParents))].map((home) => `/home/agent/${home}`).join(' ');
  return [
    'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'rm -rf /jackin',
    'mkdir -p /jackin /home/agent',
    ...ADOPT,
    ...HANDOFFS.map((name) => `ln -s handoff/current/${name} /jackin/${name}`),
    'cp -a /home/agent /jackin/default-home',
    'chmod -R a+rX /jackin/default-home',
    `mkdir -p ${homes}`,
    'find /home/agent ! -type l ! -perm -a+rw -exec chmod a+rwX {} +',
    `chmod 0777 /home/agent ${homes}`,
    // ssh refuses a configuration that others can write.
    'if [ -d /home/agent/.ssh ]; then chmod -R go-w /home/agent/.ssh && chmod 0777 /home/agent/.ssh; fi',
  ].join('\n');
};

/** Where the capsule finds the role's hooks: in the image, so that an agent cannot change what runs before the next one. */
const HOOKS_DIR = '/jackin/hooks';

/** Each hook from the build context under its name. They run whatever mode the role's files have. */
const hookInstructions = (hooks: readonly RoleHook[]): string[] =>
  hooks.length === 0
    ? []
    : [
        ...hooks.map(({ name, file }) => `COPY ${JSON.stringify([file, `${HOOKS_DIR}/${name}`])}`),
        `RUN ${JSON.stringify(['/bin/chmod', '-R', '0755', HOOKS_DIR])}`,
      ];

/** Instructions without continuation lines: they must mean the same under any `# escape=` of the role. */
const thinLayer = (hooks: readonly RoleHook[]): string =>
  ['', 'USER 0', `RUN ${JSON.stringify(['/bin/sh', '-ec', layerScript()])}`, ...hookInstructions(hooks), ''].join('\n');

/** Keeps ASCII letters and digits, in lower case, as instance names do. */
const compacted = (roleKey: string): string =>
  roleKey
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, 40) || 'role';

/**
 * Tag of the image of a role: a function of the role's content (a commit or a
 * `directoryKey`), its Dockerfile's path, its hooks, the construct's key and the
 * layer that jackin adds, and of nothing else.
 */
export const roleImageTag = (role: { key: string; content: string; dockerfile: string; hooks: readonly RoleHook[]; constructKey: string }): string =>
  `jackin-local/role-${compacted(role.key)}:${keyOf(role.content, role.dockerfile, role.constructKey, thinLayer(role.hooks))}`;

export interface RoleImageSpec {
  /** Root of the role's checkout: the build context. */
  roleDir: string;
  /** Path of the Dockerfile below it. */
  dockerfile: string;
  /** What it runs before an agent starts. */
  hooks: readonly RoleHook[];
  constructReference: string;
  tag: string;
  labels: Labels;
}

const readDockerfile = async (spec: RoleImageSpec): Promise<string> => {
  try {
    return await readFile(path.join(spec.roleDir, spec.dockerfile), 'utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) throw error;
    throw new JackinError('build.failed', `the role has no Dockerfile at ${spec.dockerfile} (looked in ${spec.roleDir})`);
  }
};

/**
 * Builds the image of a role unless the engine has it under its tag. Throws
 * `build.failed` with the place in the Dockerfile and the end of the build's output.
 */
export const ensureRoleImage = async (engine: Engine, spec: RoleImageSpec, call: LongCall): Promise<{ id: string; built: boolean }> => {
  const present = await engine.imageId(spec.tag);
  if (present !== undefined) return { id: present, built: false };

  const role = await readDockerfile(spec);
  const text = substituteConstruct(role, spec.dockerfile, spec.constructReference) + thinLayer(spec.hooks);
  const context = await packContext(spec.roleDir, { path: spec.dockerfile, text });
  const instructions = parseDockerfile(role, spec.dockerfile);
  const locate = (step: number): string => {
    const instruction = instructions[step - 1];
    return instruction === undefined ? 'the layer that jackin adds' : `${spec.dockerfile}:${instruction.line}`;
  };
  const labels = { ...MANAGED, ...spec.labels };
  await buildWithTail(engine, { context, dockerfile: spec.dockerfile, tag: spec.tag, labels }, call, locate);

  const id = await engine.imageId(spec.tag);
  if (id === undefined) throw new JackinError('build.failed', `building ${spec.tag}: the image is gone again`);
  return { id, built: true };
};
