import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { JackinError } from '../shared/errors.ts';
import type { KeyPath } from './document.ts';
import type { ConfigFiles } from './files.ts';
import { authLayers, decideOr, DEFAULT_ORIGIN, describeOrigin, globalLayer, type Layer, type LayerView, lookUp, type Origin, workspaceLayer } from './layers.ts';
import { didYouMean } from './nearest.ts';
import { expandHome } from './paths.ts';
import { envLayers } from './resolve-env.ts';
import { type MountEntry, resolveMounts } from './resolve-mounts.ts';
import type { EnvToml } from './schema.ts';
import { envText, type ShownEnv, showEnv } from './show-env.ts';

/** What one layer said. `value` is null where it said nothing, and for a secret. */
export interface ChainLink {
  layer: Layer;
  file: string | null;
  line: number | null;
  value: unknown;
  verdict: 'decided' | 'beaten' | 'not set';
  /** The value for a person. */
  text: string;
}

/** A setting, what was decided, and every layer that was asked, the nearest first. */
export interface Explanation {
  key: string;
  value: unknown;
  text: string;
  origin: Origin;
  chain: ChainLink[];
  note: string | null;
}

export interface ExplainInput {
  /** Undefined: no role, so that the layers of roles say nothing. */
  role: { key: string; origin: 'command line' | 'workspace' } | undefined;
  /** Given on the command line. */
  agent: AgentSlug | undefined;
  /** Absolute directory of a launch without a saved workspace. */
  directory: string | null;
  home: string;
}

interface Question {
  key: string;
  layers: LayerView[];
  path: KeyPath;
  fallback: unknown;
  show: (raw: never) => unknown;
  text: (shown: never) => string;
}

const NOT_SET = 'not set';
const plainText = (value: unknown): string => (value === null ? NOT_SET : JSON.stringify(value));

const rolesText = (roles: string[]): string => (roles.length === 0 ? 'any role' : roles.join(', '));

const ask = (key: string, layers: LayerView[], path: KeyPath, fallback: unknown = null): Question => ({
  key,
  layers,
  path,
  fallback,
  show: (raw) => raw,
  text: plainText,
});

const askEnv = (prefix: string, layers: LayerView[], name: string): Question => ({
  ...ask(`${prefix}.${name}`, layers, [name]),
  show: (raw: EnvToml[string]) => showEnv(raw),
  text: (shown: ShownEnv) => envText(shown),
});

const place = ({ file, line }: Origin) => ({ file: file ?? null, line: line ?? null });

const answer = ({ key, layers, path, fallback, show, text }: Question): Explanation => {
  const shown = (raw: unknown) => show(raw as never);
  const textOf = (raw: unknown) => text(shown(raw) as never);
  const { origin, trace, value } = decideOr<unknown>(layers, path, fallback);
  const winner = trace.findIndex((asked) => asked.value !== undefined);
  const chain = trace.map((asked, index): ChainLink => {
    const base = { layer: asked.origin.layer, ...place(asked.origin) };
    if (asked.value === undefined) return { ...base, value: null, verdict: 'not set', text: '' };
    return { ...base, value: shown(asked.value), verdict: index === winner ? 'decided' : 'beaten', text: textOf(asked.value) };
  });
  const nobody = winner === -1;
  const fallbackText = fallback === null ? NOT_SET : text(fallback as never);
  if (fallback !== null) {
    chain.push({ layer: 'default', file: null, line: null, value: fallback, verdict: nobody ? 'decided' : 'beaten', text: fallbackText });
  }
  return { key, value: nobody ? fallback : shown(value), text: nobody ? fallbackText : textOf(value), origin, chain, note: null };
};

/** Layers of roles are not asked when there is no role. */
const withRole = (layers: LayerView[], role: string | undefined): LayerView[] =>
  role === undefined ? layers.filter(({ layer }) => layer !== 'role' && layer !== 'workspace × role') : layers;

const nearestFirst = (layers: LayerView[]): LayerView[] => [...layers].reverse();

const variableLayers = (files: ConfigFiles, role: string | undefined): Record<'env' | 'github.env', LayerView[]> => {
  const github = authLayers(files, role ?? '').map((layer) => ({ ...layer, prefix: [...layer.prefix, 'github', 'env'] }));
  return { env: withRole(nearestFirst(envLayers(files, role ?? '')), role), 'github.env': withRole(github, role) };
};

const variableQuestions = (files: ConfigFiles, role: string | undefined): Question[] =>
  Object.entries(variableLayers(files, role)).flatMap(([prefix, layers]) => {
    const names = layers.flatMap(({ document, prefix: table }) => Object.keys(lookUp(document?.value, table) ?? {}));
    return [...new Set(names)].sort().map((name) => askEnv(prefix, layers, name));
  });

const agentQuestions = (files: ConfigFiles, role: string | undefined, slug: AgentSlug, home: string): Question[] => {
  const layers = withRole(authLayers(files, role ?? ''), role);
  return [
    ask(`${slug}.auth_forward`, layers, [slug, 'auth_forward'], 'sync'),
    { ...ask(`${slug}.sync_source_dir`, layers, [slug, 'sync_source_dir']), show: (raw: string) => expandHome(raw, home) },
    ...(slug === 'kimi' ? [ask('kimi.login', layers, ['kimi', 'login'])] : []),
    ask(`${slug}.account`, layers, [slug, 'account']),
    ask(`agents.${slug}.version`, [globalLayer(files)], ['agents', slug, 'version']),
  ];
};

const questions = (files: ConfigFiles, { role, agent, home }: ExplainInput): Question[] => {
  const workspace = [workspaceLayer(files)];
  const global = [globalLayer(files)];
  const auth = withRole(authLayers(files, role?.key ?? ''), role?.key);
  return [
    { ...ask('allowed_roles', workspace, ['allowed_roles'], []), text: rolesText },
    ask('default_role', workspace, ['default_role']),
    ask('last_role', workspace, ['last_role']),
    ask('default_agent', workspace, ['default_agent']),
    ask('git_pull_on_entry', workspace, ['git_pull_on_entry'], false),
    ask('keep_awake.enabled', workspace, ['keep_awake', 'enabled'], false),
    ...(agent === undefined ? AGENT_SLUGS : [agent]).flatMap((slug) => agentQuestions(files, role?.key, slug, home)),
    ask('github.auth_forward', auth, ['github', 'auth_forward'], 'sync'),
    ask('git.coauthor_trailer', global, ['git', 'coauthor_trailer'], false),
    ask('git.dco', global, ['git', 'dco'], false),
    ...(role === undefined ? [] : [ask(`roles.${role.key}.git`, global, ['roles', role.key, 'git'])]),
    ...(role === undefined ? [] : [ask(`roles.${role.key}.trusted`, global, ['roles', role.key, 'trusted'], false)]),
    ...variableQuestions(files, role?.key),
  ];
};

const notAllowed = (role: string, allowed: Explanation): string | null => {
  const roles = allowed.value as string[];
  return roles.length === 0 || roles.includes(role) ? null : `allowed_roles does not name it (${describeOrigin(allowed.origin)}): a launch refuses it`;
};

/** A value that the command line may give, and a key of the workspace otherwise. */
const chosen = (key: string, given: string | undefined, asked: Explanation[], note: string): Explanation => {
  const set = asked.flatMap(({ key: name, chain }) =>
    chain.filter(({ value }) => value !== null).map((link) => ({ ...link, text: `${name} ${link.text}` })),
  );
  const commandLine: ChainLink = {
    layer: 'command line', file: null, line: null, value: given ?? null, text: given === undefined ? '' : plainText(given), verdict: given === undefined ? 'not set' : 'decided',
  }; // prettier-ignore
  const chain = [commandLine, ...set.map((link, index): ChainLink => ({ ...link, verdict: given === undefined && index === 0 ? 'decided' : 'beaten' }))];
  const winner = chain.find(({ verdict }) => verdict === 'decided');
  if (winner === undefined) return { key, value: null, text: NOT_SET, origin: { layer: 'default' }, chain, note };
  const { layer, file, line, value } = winner;
  return { key, value, text: plainText(value), origin: { layer, ...(file !== null && { file }), ...(line !== null && { line }) }, chain, note: null };
};

const mountText = ({ src, readonly, isolation }: { src: string; readonly: boolean; isolation: string }): string =>
  `${JSON.stringify(src)} ${readonly ? 'read-only' : 'writable'}, ${isolation}`;

const explainMounts = (entries: MountEntry[]): Explanation[] => {
  const count = (target: string) => entries.filter((entry) => entry.target === target).length;
  return entries.map(({ source, target, readonly, isolation, origin }) => {
    const value = { src: source, readonly, isolation };
    const text = mountText(value);
    const chain: ChainLink[] = [{ layer: origin.layer, ...place(origin), value, text, verdict: 'decided' }];
    const note = count(target) > 1 ? 'several mounts on one destination: a launch refuses that' : null;
    return { key: `mounts.${target}`, value, text, origin, chain, note };
  });
};

const explainWorkdir = (files: ConfigFiles, directory: string | null): Explanation => {
  if (files.workspace !== undefined) return answer(ask('workdir', [workspaceLayer(files)], ['workdir']));
  const origin: Origin = { layer: 'directory' };
  const link: ChainLink = { layer: 'directory', file: null, line: null, value: directory, text: plainText(directory), verdict: 'decided' };
  return { key: 'workdir', value: directory, text: plainText(directory), origin, chain: [link], note: null };
};

/** Of two settings that both say whose login it is, the farther one says nothing. */
const nearerLogin = (answered: Explanation[]): Explanation[] => {
  const pair = ['kimi.login', 'kimi.sync_source_dir'].map((key) => answered.find((one) => one.key === key)).filter((one) => one !== undefined && one.value !== null);
  const distance = (one: Explanation | undefined): number => one?.chain.findIndex(({ verdict }) => verdict === 'decided') ?? 0;
  const [nearer, farther] = [...pair].sort((a, b) => distance(a) - distance(b));
  if (nearer === undefined || farther === undefined) return answered;
  const chain = farther.chain.map((link): ChainLink => (link.verdict === 'decided' ? { ...link, verdict: 'beaten' } : link));
  const note = `${nearer.key} is nearer (${describeOrigin(nearer.origin)}), and a login has one source`;
  return answered.map((one) => (one === farther ? { ...one, value: null, text: NOT_SET, origin: DEFAULT_ORIGIN, chain, note } : one));
};

/** Every setting that counts for one launch: what was decided, by whom, and what was beaten. Secrets are masked. */
export const explainAll = (files: ConfigFiles, input: ExplainInput): Explanation[] => {
  const answered = nearerLogin(questions(files, input).map(answer));
  const byKey = (key: string) => answered.filter((explanation) => explanation.key === key);
  const given = input.role?.origin === 'command line' ? input.role.key : undefined;
  const mounts = resolveMounts(files, { role: input.role?.key ?? '', directory: input.directory, mounts: [], home: input.home });
  const role = chosen('role', given, [...byKey('default_role'), ...byKey('last_role')], 'a load has to name one');
  return [
    explainWorkdir(files, input.directory),
    input.role === undefined ? role : { ...role, note: notAllowed(input.role.key, byKey('allowed_roles')[0]!) },
    chosen('agent', input.agent, byKey('default_agent'), 'the role decides: its only agent, else a load has to name one'),
    ...explainMounts(mounts),
    ...answered,
  ];
};

const ENV_KEY = /^(env|github\.env)\.([A-Za-z_][A-Za-z0-9_]*)$/;

/** A variable that no layer sets is a good question too: nobody. */
const explainUnsetVariable = (files: ConfigFiles, input: ExplainInput, key: string, known: string[]): Explanation | undefined => {
  const [, prefix, name] = ENV_KEY.exec(key) ?? [];
  if (prefix === undefined || name === undefined) return undefined;
  const layers = variableLayers(files, input.role?.key)[prefix as 'env' | 'github.env'];
  const names = known.filter((other) => other.startsWith(`${prefix}.`)).map((other) => other.slice(prefix.length + 1));
  return { ...answer(askEnv(prefix, layers, name)), note: didYouMean(name, names) || null };
};

/**
 * The explanations of a key: itself, or all below it. It may be written as in the
 * file (`roles.<role>.kimi.auth_forward`), or short when an agent is named
 * (`auth_forward`). An unknown one is `not-found` with the nearest known ones.
 */
export const explainKey = (files: ConfigFiles, input: ExplainInput, wanted: string): Explanation[] => {
  const all = explainAll(files, input);
  const { role, agent } = input;
  const rolePrefix = role === undefined ? undefined : `roles.${role.key}.`;
  const candidates = [
    wanted,
    ...(rolePrefix !== undefined && wanted.startsWith(rolePrefix) ? [wanted.slice(rolePrefix.length)] : []),
    ...(agent === undefined ? [] : [`${agent}.${wanted}`]),
  ];
  for (const key of candidates) {
    const found = all.filter((explanation) => explanation.key === key);
    const below = all.filter((explanation) => explanation.key.startsWith(`${key}.`));
    if (found.length + below.length > 0) return [...found, ...below];
  }
  const keys = all.map(({ key }) => key);
  const unset = candidates.map((key) => explainUnsetVariable(files, input, key, keys)).find((found) => found !== undefined);
  if (unset !== undefined) return [unset];
  const shown = JSON.stringify(wanted.length > 80 ? `${wanted.slice(0, 80)}…` : wanted);
  throw new JackinError('not-found', `there is no setting ${shown}`, {
    hint: didYouMean(wanted, [...keys, ...new Set(keys.map((key) => key.split('.')[0]!))]) || '`jackin config explain` without a key lists all of them',
  });
};
