import { MAX_VALUE_BYTES } from '../config/env-question.ts';
import { describeOrigin } from '../config/layers.ts';
import type { EnvEntry, EnvSource } from '../config/resolve-env.ts';
import { JackinError } from '../shared/errors.ts';
import { Secret } from '../shared/secret.ts';
import { type Answer, askProgram, type AskOptions } from './ask-program.ts';

const OP_TIMEOUT_MS = 120_000;
/** Each is a process of its own. */
const OP_AT_ONCE = 8;

type Env = Readonly<Record<string, string | undefined>>;
type OpSource = Extract<EnvSource, { kind: 'op' }>;

const keyOf = ({ reference, account }: OpSource): string => JSON.stringify([reference, account]);

const readOp = async ({ reference, account }: OpSource, options: AskOptions): Promise<Answer> => {
  const args = ['read', '--no-newline', ...(account === undefined ? [] : ['--account', account]), '--', reference];
  const answer = await askProgram('op', args, options);
  if ('why' in answer) return { why: `the 1Password CLI \`op\` ${answer.why}` };
  return answer.text === '' ? { why: 'the 1Password CLI `op` printed nothing' } : answer;
};

/** Answers to all 1Password references, each asked for once, by {@link keyOf}. */
const readReferences = async (entries: readonly EnvEntry[], options: AskOptions): Promise<Map<string, Answer>> => {
  const sources = new Map(entries.flatMap(({ source }) => (source.kind === 'op' ? [[keyOf(source), source]] : [])));
  const waiting = [...sources];
  const answers = new Map<string, Answer>();
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) answers.set(next[0], await readOp(next[1], options));
  };
  await Promise.all(Array.from({ length: OP_AT_ONCE }, work));
  return answers;
};

const answerFor = ({ source }: EnvEntry, env: Env, references: ReadonlyMap<string, Answer>): Answer => {
  switch (source.kind) {
    case 'literal':
      return { text: source.value };
    case 'op':
      return references.get(keyOf(source))!;
    case 'host': {
      const text = env[source.name];
      return text === undefined ? { why: `$${source.name} is not set on the host` } : { text };
    }
    case 'prompt':
      return source.answer === undefined ? { why: 'nobody has answered what the role asks' } : { text: source.answer.reveal() };
    default:
      return source satisfies never;
  }
};

/** Whoever started a program with such a variable would quote it in the error, or name no variable in it. */
const asVariable = (answer: Answer): Answer => {
  if (!('text' in answer)) return answer;
  if (answer.text.includes('\0')) return { why: 'the value holds a NUL character, which no variable can' };
  if (Buffer.byteLength(answer.text) > MAX_VALUE_BYTES) return { why: `the value has more than ${MAX_VALUE_BYTES} bytes, which no variable can hold` };
  return answer;
};

/**
 * Reads the values of entries of environment tables, in their order: literals, host
 * variables, and 1Password references, several at once. Every one that fails is named
 * in one error, `auth.missing`.
 */
export const readEntries = async (
  entries: readonly EnvEntry[],
  env: Env,
  signal: AbortSignal,
  opTimeoutMs = OP_TIMEOUT_MS,
): Promise<Secret[]> => {
  const references = await readReferences(entries, { env, timeoutMs: opTimeoutMs, signal });
  const answers = entries.map((entry) => asVariable(answerFor(entry, env, references)));
  const failures = answers.flatMap((answer, index) => {
    const { name, origin } = entries[index]!;
    return 'why' in answer ? [`  ${name} (${describeOrigin(origin)}): ${answer.why}`] : [];
  });
  if (failures.length > 0) {
    throw new JackinError('auth.missing', ['variables for the agent could not be read:', ...failures].join('\n'), {
      hint: 'set them, or take them out of the table that names them',
    });
  }
  return answers.map((answer) => new Secret('text' in answer ? answer.text : ''));
};

/** As {@link readEntries}, by the name of the variable. */
export const readEnvValues = async (entries: readonly EnvEntry[], env: Env, signal: AbortSignal, opTimeoutMs?: number): Promise<Map<string, Secret>> => {
  const values = await readEntries(entries, env, signal, opTimeoutMs);
  return new Map(entries.map(({ name }, index) => [name, values[index]!]));
};
