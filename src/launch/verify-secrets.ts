import path from 'node:path';
import { AGENTS, type Agent } from '../agents/agents.ts';
import { HOSTS_FILE } from '../agents/github-login.ts';
import { isAccountName } from '../agents/account-name.ts';
import { isAtHome } from '../agents/placed-login.ts';
import { readEntries } from '../auth/env-values.ts';
import { ownLoginDir } from '../auth/own-login.ts';
import { isTooShort, sameSecrets } from '../auth/secret-scan.ts';
import { isSecretVariable, secretsIn } from '../auth/secret-values.ts';
import { readConfigFiles } from '../config/files.ts';
import type { Paths } from '../config/paths.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import { resolveConfig } from '../config/resolve.ts';
import type { InstanceRecord } from '../instances/record.ts';
import { readLease } from '../keeper/holders.ts';
import { usedEntries } from '../plan/auth.ts';
import { githubEntries } from '../plan/github.ts';
import { JackinError } from '../shared/errors.ts';
import type { Secret } from '../shared/secret.ts';
import type { Deps } from './deps.ts';
import { type TreeEntry, type Unread, walkTree } from './verify-tree.ts';

/** A secret of an instance, by a name that says where it belongs. */
export interface NamedSecret {
  name: string;
  secret: Secret;
}

export interface NotLookedFor {
  names: string[];
  why: string;
}

export interface InstanceSecrets {
  secrets: NamedSecret[];
  notLookedFor: NotLookedFor[];
}

/** More than any agent keeps; a file that an agent writes must not make the search endless. */
const MAX_SECRETS = 1000;
const MAX_BYTES = 8 * 1024 * 1024;

/** Where credential files are looked for: a directory, which of its files count, and how they and the secrets in them are called. */
interface Shelf {
  root: string;
  wanted: (file: string) => boolean;
  nameOf: (file: string, key?: string) => string;
}

const named = (owner: string, file: string, key: string | undefined): string => `${owner} ${file}${key === undefined ? '' : ` ${key}`}`;

/** Its login, as it is used now, and what jackin keeps of earlier ones; tokens of tool servers are the agent's own. */
const isKept = (agent: Agent): ((file: string) => boolean) => {
  const isLogin = isAtHome(agent);
  return (file) => isLogin(file) || /^(\.jackin|credentials)(\/|$)/.test(file) || file === agent.login?.account?.file;
};

const shelvesOf = (directory: string): Shelf[] => [
  {
    root: path.join(directory, 'handoff'),
    wanted: () => true,
    nameOf: (file, key) => {
      const [generation = '', name = '', ...rest] = file.split('/');
      const agent = Object.values(AGENTS).find(({ handoffs }) => handoffs.includes(name))?.slug ?? name;
      return `${named(agent, rest.join('/'), key)} (handed over in ${generation})`;
    },
  },
  {
    root: path.join(directory, '.config', 'gh'),
    wanted: (file) => file === HOSTS_FILE,
    nameOf: (file, key) => named('github', file, key),
  },
  ...Object.values(AGENTS).flatMap((agent) =>
    agent.homes.map((home): Shelf => ({ root: path.join(directory, 'home', home), wanted: isKept(agent), nameOf: (file, key) => named(agent.slug, file, key) })),
  ),
];

/** The login of jackin's own that an instance holds a lease of: what renews it may be nowhere near a container. */
const ownShelf = async (directory: string, { loginsDir }: Paths): Promise<Shelf[]> => {
  const account = await readLease(directory);
  if (account === undefined || !isAccountName(account)) return [];
  return [{ root: ownLoginDir(loginsDir, account), wanted: (file) => /^credentials(\/|$)/.test(file), nameOf: (file, key) => named(`login kimi:${account}`, file, key) }];
};

/** The text of a file, or why it is not read. It may grow meanwhile. */
const readCredential = async ({ kind, read }: TreeEntry): Promise<{ text: string } | { why: string }> => {
  if (kind !== 'file') return { why: `is a ${kind === 'link' ? 'link, which is not followed' : 'special file'}` };
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of read()) {
    length += chunk.length;
    if (length > MAX_BYTES) return { why: `is larger than ${MAX_BYTES / 1024 / 1024} MiB` };
    chunks.push(Buffer.from(chunk));
  }
  return { text: Buffer.concat(chunks).toString('utf8') };
};

/** Secrets in the credential files of an instance. The agent may have put anything there: nothing is followed, nothing large is read. */
const fileSecrets = async (directory: string, paths: Paths, signal: AbortSignal): Promise<InstanceSecrets> => {
  const secrets: NamedSecret[] = [];
  const unread: Unread[] = [];
  for (const { root, wanted, nameOf } of [...(await ownShelf(directory, paths)), ...shelvesOf(directory)]) {
    const missed: Unread[] = [];
    for await (const entry of walkTree(root, missed, wanted)) {
      signal.throwIfAborted();
      // The link to the newest generation is jackin's own.
      if (entry.kind === 'directory' || entry.path === 'current') continue;
      const content = await readCredential(entry);
      if ('why' in content) missed.push({ path: entry.path, why: content.why });
      else secrets.push(...secretsIn(entry.path, content.text).map(({ key, secret }) => ({ name: nameOf(entry.path, key), secret })));
    }
    unread.push(...missed.map(({ path: file, why }) => ({ path: nameOf(file).trim(), why })));
  }
  return { secrets, notLookedFor: unread.map(({ path: file, why }) => ({ names: [file], why: `the file ${why}` })) };
};

/** The variables that a session of the instance gets, as the configuration is now; why they are not known otherwise. */
const variablesOf = async (record: InstanceRecord, paths: Paths, deps: Deps): Promise<EnvEntry[] | string> => {
  const { workspace_name: workspace, role_key: role, workdir: directory } = record;
  try {
    const files = await readConfigFiles(paths, workspace ?? undefined);
    const config = resolveConfig(files, { role, workspace, directory, mounts: [], home: deps.home });
    return [...usedEntries(config), ...githubEntries(config)];
  } catch (error) {
    if (!(error instanceof JackinError) || error.code !== 'not-found') throw error;
    return `the workspace ${workspace} of the instance is gone`;
  }
};

const grouped = (names: string[], why: string): NotLookedFor[] => (names.length === 0 ? [] : [{ names, why }]);
const namesOf = (all: { name: string }[]): string[] => all.map(({ name }) => name);

const variableSecrets = async (record: InstanceRecord | undefined, withOp: boolean, paths: Paths, deps: Deps): Promise<InstanceSecrets> => {
  const entries = record === undefined ? 'there is no record of the launch' : await variablesOf(record, paths, deps);
  if (typeof entries === 'string') return { secrets: [], notLookedFor: [{ names: ['all variables'], why: entries }] };
  const inOp = entries.filter(({ source }) => source.kind === 'op' && !withOp);
  const unset = entries.filter(({ source }) => source.kind === 'host' && deps.env[source.name] === undefined);
  const read = entries.filter((entry) => !inOp.includes(entry) && !unset.includes(entry));
  const values = await readEntries(read, deps.env, deps.signal);
  const found = read.map(({ name, source }, index) => ({ name, source, secret: values[index]! }));
  const long = found.filter(({ secret }) => !isTooShort(secret));
  const isOrdinary = ({ name, source, secret }: (typeof long)[number]): boolean => source.kind !== 'op' && !isSecretVariable(name, secret);
  return {
    secrets: long.filter((one) => !isOrdinary(one)).map(({ name, secret }) => ({ name: `variable ${name}`, secret })),
    notLookedFor: [
      ...grouped(namesOf(inOp), `${inOp.length === 1 ? 'its value is' : 'their values are'} in 1Password; --with-op reads ${inOp.length === 1 ? 'it' : 'them'}`),
      ...unset.flatMap(({ name, source }) => grouped([name], `$${source.kind === 'host' ? source.name : name} is not set on the host now`)),
      ...grouped(namesOf(found.filter(({ secret }) => isTooShort(secret))), 'shorter than 8 characters'),
      ...grouped(namesOf(long.filter(isOrdinary)), 'a path, an address or an ordinary word, by its looks'),
    ],
  };
};

/** One of each: a token is both handed over and in use. Called by what it is called last, where it is in use. */
const withoutTwins = (all: NamedSecret[]): NamedSecret[] => {
  const kept = new Map<number, NamedSecret>();
  const firsts = sameSecrets(all.map(({ secret }) => secret));
  all.forEach((one, index) => kept.set(firsts[index]!, one));
  return [...kept.values()];
};

/** Everything that may stand in the credential places of an instance and nowhere else. */
export const secretsOf = async (
  directory: string,
  record: InstanceRecord | undefined,
  withOp: boolean,
  paths: Paths,
  deps: Deps,
): Promise<InstanceSecrets> => {
  const variables = await variableSecrets(record, withOp, paths, deps);
  const files = await fileSecrets(directory, paths, deps.signal);
  const all = withoutTwins([...variables.secrets, ...files.secrets].filter(({ secret }) => !isTooShort(secret)));
  const notLookedFor = [...variables.notLookedFor, ...files.notLookedFor];
  if (all.length <= MAX_SECRETS) return { secrets: all, notLookedFor };
  const left = all.slice(MAX_SECRETS).length;
  return { secrets: all.slice(0, MAX_SECRETS), notLookedFor: [...notLookedFor, { names: [`${left} more secrets`], why: `only the first ${MAX_SECRETS} are looked for` }] };
};
