import { lstat, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { LoginFacts } from '../agents/login-facts.ts';
import { inspectGithub } from '../auth/github-source.ts';
import { listOwnLogins } from '../auth/own-login.ts';
import { type LoginSet, noLogin, type Source, type SourceOptions } from '../auth/source.ts';
import type { Paths } from '../config/paths.ts';
import type { MountEntry } from '../config/resolve-mounts.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { contains } from '../config/values.ts';
import { constructReference } from '../docker/construct.ts';
import { roleImageTag } from '../docker/role-image.ts';
import type { Facts, MountFacts, RoleFacts } from '../plan/facts.ts';
import { JackinError } from '../shared/errors.ts';
import type { Deps } from './deps.ts';
import { gatherPulls } from './git-pull/pull.ts';
import { readIdentity } from './operator-identity.ts';
import { readDecidedLogin } from './read-decided-login.ts';

const kindOf = async (real: string): Promise<MountFacts['kind']> => {
  const info = await lstat(real);
  if (info.isDirectory()) return 'directory';
  if (info.isFile()) return 'file';
  return info.isSocket() ? 'socket' : 'other';
};

/** Where on the host a container's path is: in the innermost mount that holds it. */
const hostPlaceOf = (target: string, mounts: MountEntry[]): string | undefined => {
  const mount = mounts.filter((one) => contains(one.target, target)).sort((a, b) => b.target.length - a.target.length)[0];
  return mount && path.join(mount.source, path.relative(mount.target, target));
};

const lookAtMount = async (mount: MountEntry, mounts: MountEntry[]): Promise<MountFacts> => {
  const { source, target } = mount;
  const real = await realpath(source).catch(() => undefined);
  const point = hostPlaceOf(target, mounts.filter((other) => other.target !== target));
  const isMissing = point !== undefined && (await stat(point).catch(() => undefined)) === undefined;
  return { source, real, kind: real === undefined ? 'missing' : await kindOf(real), ...(isMissing ? { missingPoint: point } : {}) };
};

/** Where links lead to; a place that is not there yet is where its name says. */
const realOr = (place: string): Promise<string> => realpath(place).catch(() => place);

/** The host side of the workdir. A workdir above every mount has none. */
const lookAtWorkdir = async (config: ResolvedConfig): Promise<Facts['workdir']> => {
  const { workdir } = config.workspace;
  const place = hostPlaceOf(workdir, config.mounts);
  if (place === undefined) return null;
  const info = await stat(place).catch(() => undefined);
  if (info === undefined) return { missing: place };
  return info.isDirectory() ? { owner: { uid: info.uid, gid: info.gid } } : { noDirectory: place };
};

/** Where this host's logins are looked for. */
export const sourceOptions = ({ home, env, uid, keychain }: Deps, now: Date): Omit<SourceOptions, 'sourceDir'> => ({ home, env, uid, keychain, now });

/** What stands in the way of one agent's login is no reason not to start another. */
const unreadable = (agent: AgentSlug, sourceDir: string | undefined, error: unknown): LoginSet => {
  if (!(error instanceof JackinError) || !error.code.startsWith('auth.')) throw error;
  const source: Source = { dir: sourceDir ?? `~/${AGENTS[agent].homes[0]}`, from: sourceDir === undefined ? 'default' : 'sync_source_dir' };
  const { facts, set } = noLogin(agent, source, source.dir, error.message.replace(/\.?$/, '.'));
  return { facts: { ...facts, unreadable: true }, set };
};

const inspectLogins = async (config: ResolvedConfig, role: RoleFacts, paths: Paths, deps: Deps, now: Date): Promise<Facts['logins']> => {
  const synced = role.agents.filter((agent) => config.auth[agent].mode.value === 'sync');
  const read = async (agent: AgentSlug): Promise<[AgentSlug, LoginFacts]> => {
    const decision = config.auth[agent];
    // The set itself is dropped here: it is read again when it is handed over, and no secret lies about until then.
    const { facts } = await readDecidedLogin(agent, decision, paths, sourceOptions(deps, now)).catch((error: unknown) => unreadable(agent, decision.sourceDir?.value, error));
    return [agent, facts];
  };
  return Object.fromEntries(await Promise.all(synced.map(read)));
};

/** Asked only when one of them is to be used: a launch without them reads nothing of theirs. */
const ownLoginsOf = ({ auth }: ResolvedConfig, { loginsDir }: Paths): Promise<string[]> =>
  auth.kimi.login === undefined ? Promise.resolve([]) : listOwnLogins(loginsDir);

/** Only where the workspace asks for it, and only what the container may write to. */
const pullsOf = async (config: ResolvedConfig, mounts: MountFacts[], paths: Paths, deps: Deps): Promise<Pick<Facts, 'pulls'>> => {
  if (!config.workspace.gitPull.value) return {};
  const places = config.mounts.flatMap(({ target, readonly }, index) => {
    const { real, kind } = mounts[index]!;
    return readonly || real === undefined || kind !== 'directory' ? [] : [{ directory: real, target }];
  });
  return { pulls: await gatherPulls(places, paths, deps) };
};

const hostEnvFacts = (config: ResolvedConfig, env: Deps['env']): Record<string, boolean> =>
  Object.fromEntries([...config.env, ...config.github.env].flatMap(({ source }) => (source.kind === 'host' ? [[source.name, Boolean(env[source.name])]] : [])));

/** Names of the construct and of the role's image, as far as they can be told without an engine. */
export const imageFacts = async ({ env, packageRoot }: Deps, role: RoleFacts): Promise<Facts['image']> => {
  const override = env.JACKIN_CONSTRUCT_IMAGE || undefined;
  // The tag of an image that is named from outside may move: only the engine knows what it is now.
  if (override !== undefined) return { construct: override, constructIsOverride: true, role: null };
  const construct = await constructReference(packageRoot);
  const { key, contentHash: content, dockerfile, hooks, published } = role;
  return { construct, constructIsOverride: false, role: roleImageTag({ key, content, dockerfile, hooks, constructKey: construct, published: published ?? undefined }) };
};

/** Looks at the world once, before the plan: files and variables, never the engine. */
export const gatherFacts = async (deps: Deps, paths: Paths, config: ResolvedConfig, role: RoleFacts): Promise<Facts> => {
  const now = deps.now();
  const operator = { uid: deps.uid, gid: deps.gid };
  const timeZone = deps.timeZone?.();
  const directory = hostPlaceOf(config.workspace.workdir, config.mounts) ?? deps.home;
  const [logins, ownLogins, mounts, workdir, github, identity, jackinHome, configDir, operatorHome] = await Promise.all([
    inspectLogins(config, role, paths, deps, now),
    ownLoginsOf(config, paths),
    Promise.all(config.mounts.map((mount) => lookAtMount(mount, config.mounts))),
    lookAtWorkdir(config),
    config.github.mode.value === 'sync' ? inspectGithub(deps) : undefined,
    readIdentity(directory, deps),
    // A mount is judged by its real path, so the places it is compared with must be real paths as well.
    realOr(paths.jackinHome),
    realOr(path.dirname(paths.configFile)),
    realOr(deps.home),
  ]);
  return {
    role,
    ...(await pullsOf(config, mounts, paths, deps)),
    logins,
    ownLogins,
    ...(github !== undefined && { github }),
    identity,
    hostEnv: hostEnvFacts(config, deps.env),
    mounts,
    operator,
    workdir,
    paths: { jackinHome, configDir, dataDir: paths.dataDir, operatorHome },
    image: await imageFacts(deps, role),
    now: now.toISOString(),
    ...(timeZone !== undefined && { timeZone }),
  };
};
