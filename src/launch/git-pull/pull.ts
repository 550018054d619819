import type { Paths } from '../../config/paths.ts';
import type { Engine } from '../../docker/engine.ts';
import type { PullFacts } from '../../plan/facts.ts';
import type { PlannedPull } from '../../plan/pulls.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Deps } from '../deps.ts';
import { agreeToRemote, readAgreedRemotes } from './agreed-remotes.ts';
import { bringIn } from './bring-in.ts';
import { type Fetched, fetchBranch } from './fetch-branch.ts';
import { readFollowedBranch } from './followed-branch.ts';

/** A mounted directory that may be a repository, by its real path. */
export interface PullPlace {
  directory: string;
  target: string;
}

/** Looks at each directory once: the branch that is checked out, its address, and what was agreed to. */
export const gatherPulls = async (places: readonly PullPlace[], paths: Pick<Paths, 'jackinHome'>, deps: Pick<Deps, 'env'>): Promise<PullFacts[]> => {
  const agreed = await readAgreedRemotes(paths).catch((error: unknown) => messageOf(error));
  const found = await Promise.all(
    places.map(async ({ directory, target }): Promise<PullFacts | undefined> => {
      const followed = await readFollowedBranch(directory, deps);
      if (followed === undefined) return undefined;
      if (typeof agreed === 'string') return { directory, target, followed: { why: agreed } };
      const known = agreed.get(directory);
      return { directory, target, followed, ...(known !== undefined && { agreed: known }) };
    }),
  );
  return found.filter((one) => one !== undefined);
};

interface Asked {
  confirm: ((question: string) => Promise<boolean>) | undefined;
  /** The command by which a person agrees beforehand. */
  command: string;
}

/** Asks for each address that is new or another one. Without an answer its repository is skipped with the command that agrees. */
export const askForRemotes = async (pulls: readonly PlannedPull[], paths: Pick<Paths, 'jackinHome'>, { confirm, command }: Asked, now: Date): Promise<PlannedPull[]> => {
  const settled: PlannedPull[] = [];
  for (const pull of pulls) {
    const { from, directory, state } = pull;
    if (from === null || state === 'agreed') settled.push(pull);
    else if (confirm !== undefined && (await confirm(`Pull ${directory} from ${from.address} whenever it is loaded? (${pull.why})`))) {
      await agreeToRemote(paths, directory, from.address, now);
      settled.push({ ...pull, state: 'agreed' });
    } else settled.push({ ...pull, state: 'skipped', why: `${pull.why}; \`${command}\` agrees to it`, from: null });
  }
  return settled;
};

interface Arrived {
  pull: PlannedPull;
  fetched: Fetched | { why: string };
}

export interface PullWorld {
  paths: Pick<Paths, 'jackinHome'>;
  deps: Pick<Deps, 'env' | 'signal'>;
  say: (line: string) => void;
}

/** Fetches for all of them at once; nothing of the repositories changes. Throws only when interrupted. */
export const fetchForPulls = (pulls: readonly PlannedPull[], { paths, deps: { env, signal }, say }: PullWorld): Promise<Arrived[]> =>
  Promise.all(
    pulls.map(async (pull): Promise<Arrived> => {
      const { from, directory, why } = pull;
      if (from === null || pull.state !== 'agreed') return { pull, fetched: { why } };
      return { pull, fetched: await fetchBranch({ directory, from }, { paths, env, signal, say }) };
    }),
  );

/** Brings what was fetched into the repositories, one after the other, and says what became of each. Throws only when interrupted. */
export const bringInPulls = async (arrived: readonly Arrived[], { engine, container }: { engine: Engine; container: string }, { deps: { signal }, say }: PullWorld): Promise<void> => {
  for (const { pull, fetched } of arrived) {
    const { from } = pull;
    const said = 'why' in fetched || from === null ? `not pulled: ${'why' in fetched ? fetched.why : pull.why}` : await bringIn(fetched, { engine, container, pull: { ...pull, from }, signal });
    say(`git        ${pull.directory}: ${said}`);
  }
};
