import path from 'node:path';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { KeyPath, TomlDocument } from '../config/document.ts';
import { isTable, type Table } from '../config/edit-values.ts';
import { lookUp } from '../config/layers.ts';
import { LEGACY, versionOf } from '../config/migrate-steps.ts';
import type { Problem } from '../config/problems.ts';
import { FOREIGN_AGENTS, MANIFEST_VERSIONS } from './manifest-schema.ts';

/*
 * The rules that the schema does not tell. They look at what stands in the file and
 * mind no wrong type, so that all problems are told at once.
 */

const ALL_AGENTS: readonly string[] = [...AGENT_SLUGS, ...FOREIGN_AGENTS];

const isForeign = (agent: string): boolean => (FOREIGN_AGENTS as readonly string[]).includes(agent);

/** The command that brings the manifest of a file to the newest version. */
const migration = (file: string): string => `\`jackin role migrate ${path.dirname(file)}\` brings it to ${MANIFEST_VERSIONS.at(-1)}`;

/** What is wrong with the version. Of a manifest in another version nothing else is said: its rules may be others. */
export const versionProblem = (document: TomlDocument): Problem | undefined => {
  const version = versionOf(document, MANIFEST_VERSIONS);
  if (typeof version !== 'string') return version;
  return version === LEGACY ? document.problem([], `version: missing, so this manifest is older than versions are; ${migration(document.file)}`) : undefined;
};

/** What came with a version, and where it stands. */
const NEWER: { path: KeyPath; since: string }[] = [
  { path: ['opencode'], since: 'v1alpha3' },
  { path: ['kimi'], since: 'v1alpha4' },
  { path: ['claude', 'providers'], since: 'v1alpha5' },
  { path: ['codex', 'providers'], since: 'v1alpha5' },
  { path: ['opencode', 'providers'], since: 'v1alpha5' },
  { path: ['docker'], since: 'v1alpha6' },
];

const isOlder = (version: unknown, than: string): boolean => {
  const versions: readonly unknown[] = MANIFEST_VERSIONS;
  return versions.indexOf(version) < versions.indexOf(than);
};

/** What is newer than the version that the file says it is. */
export const newerProblems = (document: TomlDocument): Problem[] => {
  const { version, agents } = document.value;
  const listed = Array.isArray(agents) ? agents : [];
  return NEWER.flatMap(({ path: at, since }) => {
    if (!isOlder(version, since)) return [];
    const inList = at.length === 1 ? listed.indexOf(at[0]) : -1;
    const place = lookUp(document.value, at) === undefined ? (inList === -1 ? undefined : ['agents', inList]) : at;
    return place === undefined ? [] : [document.problem(place, `${at.join('.')} came with version ${since}, and this manifest has ${String(version)}: ${migration(document.file)}`)];
  });
};

const LOGIN_KEYS = ['auth_forward', 'sync_source_dir', 'account'];

/** Where a manifest says how somebody is logged in. */
const loginPlaces = ({ value }: TomlDocument): KeyPath[] => [
  ...LOGIN_KEYS.filter((key) => Object.hasOwn(value, key)).map((key) => [key]),
  ...(Object.hasOwn(value, 'github') ? [['github']] : []),
  ...ALL_AGENTS.flatMap((agent) => LOGIN_KEYS.filter((key) => lookUp(value, [agent, key]) !== undefined).map((key) => [agent, key])),
];

export const loginProblems = (document: TomlDocument): Problem[] =>
  loginPlaces(document).map((place) => document.problem(place, `${place.join('.')}: a role never says how somebody is logged in; this belongs in the operator’s own configuration`, false));

/** The document without what {@link loginProblems} has told: the schema would call it unknown. */
export const withoutLogins = (document: TomlDocument): TomlDocument => {
  const value: Table = { ...document.value };
  for (const [first, second] of loginPlaces(document)) {
    if (second === undefined) delete value[first!];
    else value[first!] = Object.fromEntries(Object.entries(value[first!] as Table).filter(([key]) => key !== second));
  }
  return { ...document, value };
};

const OF_CLAUDE: readonly string[] = ['claude'];

/** The agents that are listed, each once. Without a list, a role is for Claude alone: the rule of the first manifests. */
const listedAgents = ({ value: { agents } }: TomlDocument): readonly string[] =>
  Array.isArray(agents) ? [...new Set(agents.filter((agent): agent is string => ALL_AGENTS.includes(agent as string)))] : OF_CLAUDE;

/** The listed agents that this jackin has. */
export const ownAgents = (document: TomlDocument): string[] => listedAgents(document).filter((agent) => !isForeign(agent));

export const agentProblems = (document: TomlDocument): Problem[] => {
  const listed = listedAgents(document);
  const problems = listed.filter((agent) => document.value[agent] === undefined).map((agent) => document.problem(['agents'], `agents: the agent ${agent} needs its table: add [${agent}]`));
  const hasOnlyForeign = listed.length > 0 && listed.every(isForeign);
  if (hasOnlyForeign) problems.push(document.problem(['agents'], `agents: this version of jackin does not have ${listed.join(', ')}, and the role lists no other agent`));
  return problems;
};

/** Part of Claude itself. */
const OFFICIAL = 'claude-plugins-official';

const marketplaceOf = (plugin: string): string => plugin.slice(plugin.lastIndexOf('@') + 1);

const plugins = (document: TomlDocument): { marketplace: string; index: number }[] => {
  const found = lookUp(document.value, ['claude', 'plugins']);
  if (!Array.isArray(found)) return [];
  return found.flatMap((plugin, index) => (typeof plugin === 'string' && plugin.includes('@') && marketplaceOf(plugin) !== OFFICIAL ? [{ marketplace: marketplaceOf(plugin), index }] : []));
};

/** The last part of each source: what its marketplace is called, as a rule. */
const marketplaces = (document: TomlDocument): string[] => {
  const found = lookUp(document.value, ['claude', 'marketplaces']);
  if (!Array.isArray(found)) return [];
  const sources = found.flatMap((one) => (isTable(one) && typeof one.source === 'string' ? [one.source] : []));
  return sources.map((source) => source.slice(0, 400).replace(/\/+$/, '').replace(/\.git$/, '').split(/[/:]/).at(-1)!);
};

/** Plugins whose marketplace is not among those that are listed, as far as their sources tell. */
const strayPlugins = (document: TomlDocument, message: (marketplace: string) => string): Problem[] => {
  const known = new Set(marketplaces(document));
  const stray = plugins(document).filter(({ marketplace }) => !known.has(marketplace));
  return stray.map(({ marketplace, index }) => document.problem(['claude', 'plugins', index], `claude.plugins: ${message(marketplace.slice(0, 80))}`));
};

/** What a marketplace is called stands in its own files: where one is listed, a name that differs is no fault yet. */
export const pluginProblems = (document: TomlDocument): Problem[] =>
  marketplaces(document).length > 0 ? [] : strayPlugins(document, (marketplace) => `no marketplace is listed: add a [[claude.marketplaces]] with the source of ${marketplace}`);

const pluginNotes = (document: TomlDocument): Problem[] => strayPlugins(document, (marketplace) => `none of the listed sources ends with ${marketplace}: one of them has to be called so`);

const INERT: KeyPath[] = [['claude', 'plugins'], ['claude', 'marketplaces'], ['claude', 'providers'], ['codex', 'providers'], ['opencode', 'providers'], ['docker']];

/** What a person should know about a manifest that is right: what does nothing, in this version or at all. */
export const agentNotes = (document: TomlDocument): Problem[] => {
  const listed = listedAgents(document);
  const agents = Array.isArray(document.value.agents) ? document.value.agents : [];
  const twice = agents.findIndex((agent, index) => agents.indexOf(agent) < index);
  const unlisted = ALL_AGENTS.filter((agent) => document.value[agent] !== undefined && !listed.includes(agent));
  return [
    ...unlisted.map((agent) => document.problem([agent], `[${agent}] does nothing: ${agent} is not in agents`)),
    ...listed.filter(isForeign).map((agent) => document.problem([agent], `[${agent}] has no effect: this version of jackin does not have ${agent}`)),
    ...pluginNotes(document),
    ...(twice === -1 ? [] : [document.problem(['agents', twice], `agents: ${String(agents[twice])} is listed twice`)]),
    ...INERT.filter((at) => lookUp(document.value, at) !== undefined && (at.length === 1 || listed.includes(at[0] as string))).map((at) =>
      document.problem(at, `${at.join('.')} has no effect in this version of jackin`),
    ),
  ];
};
