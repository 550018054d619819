import path from 'node:path';
import { AGENTS } from '../agents/agents.ts';
import type { RoleHook } from '../plan/hooks.ts';
import { isErrno, JackinError } from '../shared/errors.ts';
import { readFileBelow } from '../shared/open-below.ts';
import { packContext } from './build-context.ts';
import { buildWithTail, type NamedStep } from './build.ts';
import { keyOf } from './content-key.ts';
import { type Instruction, parseDockerfile } from './dockerfile-parse.ts';
import { modernIn } from './dockerfile-rules.ts';
import { substituteConstruct } from './dockerfile.ts';
import type { Engine, Labels, LongCall } from './engine.ts';
import { MANAGED } from './labels.ts';
import { once } from './once.ts';
import { obtainPublished, type PublishedImage } from './published-image.ts';

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

/** Docker 20.10. */
const OLDEST_API = '1.41';

/** Instructions without continuation lines: they must mean the same under any `# escape=` of the role. */
const thinLayer = (hooks: readonly RoleHook[]): string =>
  ['', 'USER 0', `RUN ${JSON.stringify(['/bin/sh', '-ec', layerScript()])}`, ...hookInstructions(hooks), ''].join('\n');

/** Keeps ASCII letters and digits, in lower case, as instance names do. */
const compacted = (roleKey: string): string =>
  roleKey
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, 40) || 'role';

interface RoleImageKey {
  key: string;
  /** A commit, or the digest of its files. */
  content: string;
  dockerfile: string;
  hooks: readonly RoleHook[];
  constructKey: string;
  published?: PublishedImage | undefined;
}

/**
 * Tag of the image of a role: a function of the role's content, its Dockerfile's path,
 * its hooks, the construct's key, the digest of its published image and the layer that
 * jackin adds, and of nothing else.
 */
export const roleImageTag = ({ key, content, dockerfile, hooks, constructKey, published }: RoleImageKey): string =>
  `jackin-local/role-${compacted(key)}:${keyOf(content, dockerfile, constructKey, thinLayer(hooks), ...(published === undefined ? [] : [published.digest]))}`;

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
  /** Taken in place of what the Dockerfile would make. */
  published?: PublishedImage | undefined;
  /** `classic` or `buildkit`, when somebody wants one: value of JACKIN_BUILDER. */
  builder?: string | undefined;
  /** Builds although the image is there, every step anew. */
  rebuild?: boolean;
  /** Folder for locks: of several launches that need the image, one builds it. */
  locks?: string;
}

const readDockerfile = async (spec: RoleImageSpec): Promise<string> => {
  try {
    return readFileBelow(spec.roleDir, spec.dockerfile).toString('utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    throw new JackinError('build.failed', `the role has no Dockerfile at ${spec.dockerfile} (looked in ${spec.roleDir})`);
  }
};

type Builder = 'classic' | 'buildkit';

/** BuildKit where the Dockerfile asks for it (ADR 0018), else the classic builder, unless somebody decides. */
const chooseBuilder = (engine: Engine, spec: RoleImageSpec, instructions: readonly Instruction[]): Builder => {
  const { builder: wanted, dockerfile } = spec;
  if (wanted && wanted !== 'classic' && wanted !== 'buildkit') {
    throw new JackinError('usage', `JACKIN_BUILDER=${wanted}: expected classic or buildkit`);
  }
  const modern = modernIn(instructions);
  const [first] = modern;
  if (first === undefined) return wanted === 'buildkit' ? 'buildkit' : 'classic';
  if (wanted === 'classic') {
    throw new JackinError('build.failed', `${dockerfile}:${first.line}: ${first.what} needs BuildKit, and JACKIN_BUILDER=classic forbids it`, { hint: 'unset JACKIN_BUILDER' });
  }
  const tooNew = engine.apiVersion === OLDEST_API ? modern.find(({ isNew }) => isNew) : undefined;
  if (tooNew === undefined) return 'buildkit';
  throw new JackinError('build.failed', `${dockerfile}:${tooNew.line}: ${tooNew.what} needs Docker 23 or newer, and this engine is older`, {
    hint: 'upgrade the engine, or write it without: a text, for instance, as a file that is copied',
  });
};

interface RoleText {
  text: string;
  instructions: Instruction[];
  builder: Builder;
}

/** What is built before jackin's own layer: the role's Dockerfile, or one line for its published image. */
const roleText = async (engine: Engine, spec: RoleImageSpec, call: LongCall): Promise<RoleText> => {
  const published = spec.published === undefined ? undefined : await obtainPublished(engine, spec.published, call);
  if (published !== undefined) return { text: `FROM ${published}\n`, instructions: [], builder: chooseBuilder(engine, spec, []) };
  const role = await readDockerfile(spec);
  const text = substituteConstruct(role, spec.dockerfile, spec.constructReference);
  const instructions = parseDockerfile(role, spec.dockerfile);
  return { text, instructions, builder: chooseBuilder(engine, spec, instructions) };
};

/** BuildKit counts by stage, and only what makes a layer: there the text tells which instruction it is. */
const instructionAt = (step: number, stepText: string, { instructions, builder }: RoleText): Instruction | undefined => {
  if (builder === 'classic') return instructions[step - 1];
  const plain = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
  return instructions.find(({ keyword, rest }) => plain(`${keyword} ${rest}`) === plain(stepText));
};

const OWN_LAYER: NamedStep = { place: 'the layer that jackin adds', text: 'preparing the homes of the agents' };

const build = async (engine: Engine, spec: RoleImageSpec, call: LongCall): Promise<string> => {
  const role = await roleText(engine, spec, call);
  const context = await packContext(spec.roleDir, {
    dockerfile: spec.dockerfile,
    text: role.text + thinLayer(spec.hooks),
    always: spec.hooks.map(({ file }) => file),
  });
  const name = (step: number, stepText: string): NamedStep | undefined => {
    const instruction = instructionAt(step, stepText, role);
    if (instruction !== undefined) return { place: `${spec.dockerfile}:${instruction.line}` };
    if (stepText.startsWith('FROM ')) return undefined;
    return role.builder === 'buildkit' && !stepText.includes('/jackin') ? undefined : OWN_LAYER;
  };
  const request = {
    context,
    dockerfile: path.posix.normalize(spec.dockerfile),
    tag: spec.tag,
    labels: { ...MANAGED, ...spec.labels },
    builder: role.builder,
    ...(spec.rebuild ? { noCache: true } : {}),
  };
  await buildWithTail(engine, request, call, name);
  const id = await engine.imageId(spec.tag);
  if (id === undefined) throw new JackinError('build.failed', `building ${spec.tag}: the image is gone again`);
  return id;
};

/**
 * Builds the image of a role unless the engine has it under its tag. A rebuild takes
 * the tag over and removes what it stood for, unless a container still uses that.
 * Throws `build.failed` with the place in the Dockerfile and the end of the output.
 */
export const ensureRoleImage = async (engine: Engine, spec: RoleImageSpec, call: LongCall): Promise<{ id: string; built: boolean }> => {
  const present = await engine.imageId(spec.tag);
  if (present !== undefined && !spec.rebuild) return { id: present, built: false };

  return await once(spec.locks, spec.tag, call, async () => {
    const before = await engine.imageId(spec.tag);
    if (before !== undefined && before !== present) return { id: before, built: false };
    const id = await build(engine, spec, call);
    // An engine refuses while a container uses it, and then it stays.
    if (before !== undefined && before !== id) await engine.removeImage(before).catch(() => undefined);
    return { id, built: true };
  });
};
