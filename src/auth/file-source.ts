import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS, type Agent, AGENT_SLUGS } from '../agents/agents.ts';
import type { FileLogin, LoginVerdict } from '../agents/login-form.ts';
import { JackinError } from '../shared/errors.ts';
import type { Tree } from '../shared/safe-read.ts';
import { isoTime, type LoginSet, nameOf, noLogin, openSource, type Source, type SourceOptions } from './source.ts';

/** Files of settings grow with the projects that their agent has seen. */
const MAX_SETTINGS_BYTES = 64 * 1024 * 1024;
const MAX_TRIES = 5;

interface FileSource extends Source {
  /** Where the file with the account's metadata is. */
  accountDir: string;
  /** The directory as a variable or the configuration names it, which is how the agent knows it; undefined: its usual one. */
  named: string | undefined;
}

type FileAgent = Agent & { login: FileLogin };

const sourceOf = ({ login, homes: [usual], homeVariable: { name, below } }: FileAgent, { sourceDir, home, env }: SourceOptions): FileSource => {
  const variable = env[name] || undefined;
  const fromVariable = variable === undefined ? path.join(home, usual) : path.resolve(home, variable, below);
  const dir = sourceDir === undefined ? fromVariable : path.resolve(home, sourceDir);
  const named = sourceDir === undefined ? variable : dir;
  return {
    dir,
    from: sourceDir === undefined ? 'default' : 'sync_source_dir',
    named,
    accountDir: named === undefined ? path.join(home, path.dirname(login.account?.usual ?? '.')) : dir,
  };
};

interface Found {
  dir: string;
  credential: Buffer | undefined;
  /** What the agent itself calls the place of the credential. */
  place: string;
  account: { text: string; account?: string } | undefined;
  skipped: Tree['skipped'];
}

const readAccount = async ({ name, login }: FileAgent, source: FileSource, uid: number): Promise<Found['account']> => {
  const { account } = login;
  if (account === undefined) return undefined;
  const wanted = (file: string): boolean => file === account.file;
  const place = { ...source, dir: source.accountDir };
  // Without it the agent is logged in all the same: whatever is wrong with it stops no launch.
  const opened = await openSource(place, name, account.file, uid, { wanted, maxBytes: MAX_SETTINGS_BYTES }).catch(() => ({ why: '' }));
  const text = 'why' in opened ? undefined : opened.tree.files.get(account.file)?.toString('utf8');
  return text === undefined ? undefined : account.pick(text);
};

const readKeychain = async ({ login }: FileAgent, source: FileSource, options: SourceOptions): Promise<Found | undefined> => {
  const service = login.keychainService?.(source.named);
  const text = service === undefined ? undefined : await options.keychain?.(service);
  if (text === undefined) return undefined;
  return { dir: source.dir, credential: Buffer.from(text), place: `Keychain item "${service}"`, account: undefined, skipped: [] };
};

const readCredential = async (agent: FileAgent, source: FileSource, options: SourceOptions): Promise<Found | { why: string }> => {
  const kept = await readKeychain(agent, source, options);
  if (kept !== undefined) return kept;
  const { file } = agent.login;
  const opened = await openSource(source, agent.name, file, options.uid, { wanted: (name) => name === file });
  if ('why' in opened) return opened;
  const { dir, tree } = opened;
  return { dir, credential: tree.files.get(file), place: file, account: undefined, skipped: tree.skipped };
};

/** Credential and account in one state: the credential is the same before and after the account was read. */
const readTogether = async (agent: FileAgent, source: FileSource, options: SourceOptions): Promise<Found | { why: string }> => {
  let before = await readCredential(agent, source, options);
  for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
    if ('why' in before || before.credential === undefined || agent.login.account === undefined) return before;
    const account = await readAccount(agent, source, options.uid);
    const after = await readCredential(agent, source, options);
    if (!('why' in after) && after.credential?.equals(before.credential)) return { ...after, account };
    before = after;
  }
  throw new JackinError('failed', `the ${agent.name} login in ${source.dir} changes while it is read, ${MAX_TRIES} times in a row`, {
    hint: 'wait until the agent on this machine has finished logging in, then start again',
  });
};

/** A directory with nothing in it is often the one above, or another agent's. */
const whyNothing = async ({ login, name, homes: [usual] }: FileAgent, source: FileSource, found: Found): Promise<string> => {
  const [missed] = found.skipped;
  if (missed !== undefined) return `${missed.path} in ${nameOf(source)} ${missed.why}.`;
  if (source.from === 'default') return `There is no ${name} login in ${found.dir}.`;
  const below = path.join(found.dir, path.basename(usual));
  const isBelow = await lstat(path.join(below, login.file)).catch(() => undefined);
  const perhaps = isBelow === undefined ? '' : ` Perhaps ${below} is meant.`;
  return `${nameOf(source)} holds no ${login.file}, which is expected directly inside.${perhaps}`;
};

/** The agent whose login a file is that this agent cannot read: several call theirs the same. */
const strangerOf = (agent: FileAgent, text: string, now: Date): Agent | undefined =>
  AGENT_SLUGS.map((slug) => AGENTS[slug]).find(
    ({ slug, login }) =>
      slug !== agent.slug && login?.file === agent.login.file && !['dead', 'unknown'].includes(login.judge(text, now).state),
  );

const judge = (agent: FileAgent, text: string, place: string, now: Date): LoginVerdict => {
  const verdict = agent.login.judge(text, now);
  const stranger = verdict.state === 'unknown' ? strangerOf(agent, text, now) : undefined;
  return stranger === undefined
    ? { ...verdict, why: `${place} ${verdict.why}.` }
    : { state: 'dead', refreshable: false, why: `${place} is a login of ${stranger.name}, not of ${agent.name}.` };
};

/**
 * Reads the host's login of an agent that keeps it in one file: from `sourceDir`,
 * else from the agent's own directory, where there is one from the keychain first.
 * Changes nothing there. A login that is there but cannot be read is an error.
 */
export const readFileLogin = async (agent: FileAgent, options: SourceOptions): Promise<LoginSet> => {
  const source = sourceOf(agent, options);
  const found = await readTogether(agent, source, options);
  if ('why' in found) return noLogin(agent.slug, source, source.dir, found.why);
  const { dir, credential, skipped } = found;
  if (credential === undefined) {
    const login = noLogin(agent.slug, source, dir, await whyNothing(agent, source, found));
    return { ...login, facts: { ...login.facts, skipped } };
  }
  const { login } = agent;
  const { state, refreshable, why, expiresAt, ...verdict } = judge(agent, credential.toString('utf8'), found.place, options.now);
  const account = verdict.account ?? found.account?.account;
  const isUsable = state !== 'dead';
  const metadata = login.account === undefined || found.account === undefined ? [] : [{ path: login.account.handoff, bytes: Buffer.from(found.account.text) }];
  return {
    facts: {
      agent: agent.slug,
      dir,
      from: source.from,
      generation: null,
      state,
      refreshable,
      ...(account !== undefined && { account }),
      ...isoTime(expiresAt),
      files: [{ path: found.place, size: credential.length, state }],
      skipped: isUsable ? skipped : [...skipped, { path: found.place, why: 'cannot work any more, so it is not handed over' }],
      aliases: [],
      why,
    },
    set: isUsable ? { name: agent.handoffs[0], files: [{ path: login.handoff, bytes: credential }, ...metadata] } : undefined,
  };
};
