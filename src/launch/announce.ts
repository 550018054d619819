import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import { describeOrigin, type Origin } from '../config/layers.ts';
import { commitLine } from '../plan/commits.ts';
import type { LaunchPlan, PlannedAuth } from '../plan/plan.ts';
import type { PlannedPull } from '../plan/pulls.ts';

/** A directory's name may hold a line break: it could forge a line of what a person is told. */
const oneLine = (text: string): string => text.replaceAll(/\p{Cc}/gu, '\ufffd');

const clock = (iso: string): string => iso.replace(/:\d\d(\.\d+)?Z$/, 'Z').replace('T', ' ');

const validity = (login: NonNullable<PlannedAuth['login']>): string => {
  if (login.expires_at === null) return '';
  return login.state === 'live' ? `, access until ${clock(login.expires_at)}` : `, access ended ${clock(login.expires_at)}`;
};

/** A lease: who decided on the login is said where that is not who decided the mode. */
const ownSentence = ({ account: name, decided_by: decided }: NonNullable<PlannedAuth['own_login']>, { account, state, why }: NonNullable<PlannedAuth['login']>): string => {
  const whose = account === null ? '' : ` (account ${account})`;
  const works = state === 'live' || state === 'expired-refreshable';
  const by = decided.layer === 'command line' ? '' : `, set by ${describeOrigin(decided as Origin)}`;
  return `Login ${name} of jackin's own${whose}${by}: ${works ? 'the keeper renews it, the container gets access only.' : why}`;
};

const loginSentence = (auth: PlannedAuth, launched: boolean): string => {
  const { agent, login } = auth;
  if (login === null) throw new Error('a login that is copied was looked at');
  if (auth.own_login !== null) return ownSentence(auth.own_login, login);
  const decided = login.from === 'default' ? '' : `, set by ${describeOrigin(auth.source_dir_decided_by as Origin)}`;
  const account = login.account === null ? '' : `, account ${login.account}`;
  const found = `Login in ${login.dir}${decided}${account}${validity(login)}`;
  switch (login.state) {
    case 'live':
      return `${found}.`;
    case 'expired-refreshable':
      return `${found}: it is refreshed inside.`;
    case 'unknown':
      return `${found}, in a form that jackin does not know: passed on as it is.`;
    default:
      return !launched ? login.why : `${login.why} It starts logged out: run \`${AGENTS[agent as AgentSlug].loginCommand}\` on the host, then load again.`;
  }
};

const authLine = (auth: PlannedAuth, launched = false): string => {
  const who = `${auth.agent}: ${auth.mode}, by ${describeOrigin(auth.decided_by as Origin)}.`;
  switch (auth.mode) {
    case 'sync':
      return `${who} ${loginSentence(auth, launched)}`;
    case 'ignore':
      return `${who} Nothing is forwarded.`;
    default: {
      const endpoint = auth.provider === null ? '' : ` for ${auth.provider.base_url}`;
      return `${who} ${auth.key} ${auth.delivery === 'nothing' ? 'is not set' : `from the environment layers${endpoint}`}.`;
    }
  }
};

const githubLine = ({ github }: LaunchPlan): string => {
  const who = `${github.mode}, by ${describeOrigin(github.decided_by as Origin)}.`;
  switch (github.mode) {
    case 'sync': {
      const account = github.login?.user == null ? '' : ` Account ${github.login.user}.`;
      return `${who} ${github.delivery === 'nothing' ? `${github.login?.why ?? ''} It starts without access to GitHub.` : `Login in ${github.login?.dir}.${account}`}`;
    }
    case 'token':
      return `${who} GH_TOKEN from [github.env].`;
    case 'ignore':
      return `${who} Nothing is forwarded.`;
    default:
      return github.mode satisfies never;
  }
};

/** What logs nobody out, for the agent that has it. */
const insteadOf = (forked: AgentSlug[]): string =>
  forked.includes('kimi') ? " `jackin login kimi` makes a login of jackin's own, and `--login` uses it: that one logs nobody out." : '';

/** The one line that a copied login owes its owner. */
const forkLine = ([first, ...others]: AgentSlug[]): string =>
  others.length === 0
    ? `This is a copy of a login that rotates: of host and container, whichever refreshes second is logged out and needs \`${AGENTS[first!].loginCommand}\`.${insteadOf([first!])}`
    : `These are copies of logins that rotate (${[first, ...others].join(', ')}): of host and container, whichever refreshes second is logged out.${insteadOf([first!, ...others])}`;

const roleOrigin = ({ key, source: { kind, url, commit, branch } }: LaunchPlan['role']): string =>
  kind === 'git' ? `${key}, ${url}${branch === null ? '' : `, branch ${branch}`}, commit ${commit?.slice(0, 12)}` : `${key}, ${kind}`;

const pullLine = ({ directory, state, why, from }: PlannedPull): string => {
  if (state === 'agreed') return `git        ${directory}: ${from!.branch} is pulled from ${from!.address}`;
  return `git        ${directory}: ${state === 'skipped' ? 'not pulled' : 'pulled only after your word'}: ${why}`;
};

/** What a person is told before a launch: who runs what, where, logged in as whom, and what to know about it. */
export const announcement = (plan: LaunchPlan): string[] => {
  const { workspace, role, agent, container, session } = plan;
  const auth = plan.auth.find((entry) => entry.agent === agent.slug)!;
  const forked = plan.auth.filter(({ forks_login }) => forks_login).map((entry) => entry.agent as AgentSlug);
  const place = workspace.name === null ? workspace.workdir : `${workspace.name}, ${workspace.workdir}`;
  const user = container.user.uid === 0 || container.user.why !== 'the operator' ? [`user       ${container.user.uid}:${container.user.gid}: ${container.user.why}`] : [];
  const model = agent.model === null ? '' : `, model ${agent.model.passed}`;
  return [
    `role       ${role.name} (${roleOrigin(role)}) in ${place}`,
    ...(role.trust.state === 'needed' ? [`           not trusted yet: ${role.trust.why}`] : []),
    `agent      ${AGENTS[agent.slug as AgentSlug].name}${model}; approvals: ${session.approvals}`,
    `login      ${authLine(auth, true)}`,
    ...plan.auth.filter((other) => other !== auth).map((other) => `           ${authLine(other)}`),
    `github     ${githubLine(plan)}`,
    ...[commitLine(plan.commits)].filter((line) => line !== undefined).map((line) => `git        ${line}`),
    ...(forked.length > 0 ? [`           ${forkLine(forked)}`] : []),
    ...(role.hooks.length > 0 ? [`hooks      ${role.hooks.map(({ name }) => name).join(', ')} of the role ${role.hooks.length === 1 ? 'runs' : 'run'} first`] : []),
    ...user,
    ...plan.warnings.map((warning) => `note       ${warning}`),
  ].map(oneLine);
};

/** How many variables there are, by where their values come from; undefined when there are none. */
export const envSummary = (kinds: readonly ('literal' | 'host' | 'op' | 'prompt')[], what: string): string | undefined => {
  const count = (kind: string, name: string): string[] => {
    const found = kinds.filter((one) => one === kind).length;
    return found === 0 ? [] : [`${found} ${name}`];
  };
  const counts = [...count('op', 'op://'), ...count('host', 'host ref'), ...count('literal', 'literal'), ...count('prompt', 'of the role’s questions')];
  return kinds.length === 0 ? undefined : `env        ${kinds.length} ${what} (${counts.join(', ')})`;
};

/** The plan for people, as `--dry-run` prints it. */
export const describePlan = (plan: LaunchPlan): string => {
  const mounts = plan.mounts.map(({ source, target, readonly, why }) => `  ${target}${readonly ? ' (read-only)' : ''}  from ${source}  [${why}]`);
  return [
    ...announcement(plan),
    ...[envSummary([...plan.env, ...plan.github.env].map(({ kind }) => kind), 'variables')].filter((line) => line !== undefined),
    ...plan.pulls.map(pullLine),
    `command    ${plan.session.argv.join(' ')}`,
    `container  ${plan.container.name}, networks ${plan.container.networks.join(', ')}`,
    `image      ${plan.image.role ?? 'tagged by the id of the construct'} on ${plan.image.construct}`,
    'mounts',
    ...mounts,
    ...plan.consents.map(({ path, why, given }) => `consent    ${path}: ${why} (${given ? 'given' : 'needed'})`),
  ].map(oneLine).join('\n');
};
