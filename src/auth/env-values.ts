import { describeOrigin } from '../config/layers.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import { JackinError } from '../shared/errors.ts';
import { Secret } from '../shared/secret.ts';

const OP_TIMEOUT_MS = 120_000;

type Env = Readonly<Record<string, string | undefined>>;

/** One line of what `op` said; it names items and vaults, never values. */
const opFailure = (error: unknown): string => {
  const { stderr, code, timedOut } = error as { stderr?: string; code?: string; timedOut?: boolean };
  if (code === 'ENOENT') return 'the 1Password CLI `op` is not installed';
  if (timedOut) return `\`op\` did not answer within ${OP_TIMEOUT_MS / 1000} seconds`;
  return stderr?.split('\n')[0]?.slice(0, 200) || '`op` failed without saying why';
};

const readOp = async (reference: string, account: string | undefined, env: Env, signal: AbortSignal): Promise<string> => {
  const args = ['read', '--no-newline', ...(account === undefined ? [] : ['--account', account]), '--', reference];
  const { execa } = await import('execa');
  const { stdout } = await execa('op', args, {
    timeout: OP_TIMEOUT_MS,
    stdin: 'ignore',
    stripFinalNewline: false,
    env: env as Record<string, string>,
    extendEnv: false,
    cancelSignal: signal,
  });
  return stdout;
};

const readEntry = async (entry: EnvEntry, env: Env, signal: AbortSignal): Promise<Secret> => {
  const { source } = entry;
  if (source.kind === 'literal') return new Secret(source.value);
  if (source.kind === 'op') {
    return new Secret(
      await readOp(source.reference, source.account, env, signal).catch((error: unknown) => {
        throw new Error(opFailure(error));
      }),
    );
  }
  const value = env[source.name];
  if (value === undefined) throw new Error(`$${source.name} is not set on the host`);
  return new Secret(value);
};

/**
 * Reads the values of the environment layers: literals, host variables and
 * 1Password references, all at once. Every one that fails is named in one error.
 */
export const readEnvValues = async (entries: EnvEntry[], env: Env, signal: AbortSignal): Promise<Map<string, Secret>> => {
  const results = await Promise.allSettled(entries.map((entry) => readEntry(entry, env, signal)));
  const failures = results.flatMap((result, index) => {
    const entry = entries[index]!;
    return result.status === 'rejected' ? [`  ${entry.name} (${describeOrigin(entry.origin)}): ${(result.reason as Error).message}`] : [];
  });
  if (failures.length > 0) {
    throw new JackinError('auth.missing', ['variables for the agent could not be read:', ...failures].join('\n'), {
      hint: 'set them, or take them out of the [env] table that names them',
    });
  }
  return new Map(results.map((result, index) => [entries[index]!.name, (result as PromiseFulfilledResult<Secret>).value]));
};
