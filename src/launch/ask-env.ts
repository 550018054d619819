import { dependencyOrder, fillIn, fillInValue, referencesOf } from '../config/env-question.ts';
import { describeOrigin } from '../config/layers.ts';
import type { EnvEntry, PromptSource } from '../config/resolve-env.ts';
import { JackinError } from '../shared/errors.ts';
import { Secret } from '../shared/secret.ts';

/** A question for the operator. */
export interface Question {
  /** Name of the variable. */
  name: string;
  text: string;
  /** The answer that is proposed. */
  proposed: string | undefined;
  /** The only answers that there are. */
  options: string[] | undefined;
  skippable: boolean;
}

/** An empty answer to a question that is skippable skips it. */
export type Ask = (question: Question) => Promise<string>;

type Prompt = EnvEntry & { source: PromptSource };

const isPrompt = (entry: EnvEntry): entry is Prompt => entry.source.kind === 'prompt';

const inOrder = (prompts: Prompt[]): Prompt[] => {
  const byName = new Map(prompts.map((entry) => [entry.name, entry]));
  const sorted = dependencyOrder(new Map(prompts.map(({ name, source }) => [name, source.question.dependsOn])));
  return 'order' in sorted ? sorted.order.map((name) => byName.get(name)!) : [];
};

const unanswered = (entries: Prompt[]): JackinError => {
  const lines = entries.map(({ name, origin, source: { question } }) => `  ${name} (${describeOrigin(origin)})${question.options === undefined ? '' : `: one of ${question.options.map((one) => JSON.stringify(one)).join(', ')}`}`);
  const [{ name }] = entries as [Prompt];
  return new JackinError('usage', ['the role asks for what nobody is there to answer:', ...lines].join('\n'), {
    hint: `answer for one launch with \`jackin load --env ${name}=VALUE\`, for every one with \`jackin config env set ${name} VALUE\``,
  });
};

/** What is known while questions are asked: texts by name. The host's variables and 1Password are not among it. */
interface Known {
  texts: Map<string, string>;
  skipped: Set<string>;
}

/** What an operator's value brought in may be of several lines: then it is no text to go on typing at. */
const isOneLine = (text: string | undefined): boolean => text === undefined || !/\p{Cc}/u.test(text);

/** The answer as a text; `filled in later` for a proposal that refers to what is read at the launch. */
const answerTo = async ({ name, source: { question } }: Prompt, { texts }: Known, ask: Ask | undefined): Promise<{ text: string } | 'filled in later' | 'skipped' | 'missing'> => {
  const { interactive, skippable, options, prompt } = question;
  const proposed = question.proposed === undefined ? undefined : fillInValue(name, question.proposed, (other) => texts.get(other));
  const isWhole = (question.proposed === undefined ? [] : referencesOf(question.proposed)).every((other) => texts.has(other));
  const asProposed = isWhole ? { text: proposed! } : 'filled in later';
  if (!interactive) return asProposed;
  if (ask === undefined) return proposed !== undefined ? asProposed : skippable ? 'skipped' : 'missing';
  const text = prompt === undefined ? name : `${fillIn(prompt, (other) => texts.get(other) ?? `$${other}`)} (${name})`;
  const answer = await ask({ name, text, proposed: isOneLine(proposed) ? proposed : undefined, options, skippable });
  if (answer === '' && skippable) return 'skipped';
  return answer === proposed ? asProposed : { text: answer };
};

/**
 * Answers what the role asks for, each question after those that it depends on. What
 * an operator's layer sets is not asked for; what depends on a skipped variable is
 * skipped. Without `ask` the role's proposals count; what has none and may not be
 * skipped is one `usage` error for all. The answers are kept as secrets.
 */
export const askEnv = async (entries: readonly EnvEntry[], ask: Ask | undefined): Promise<EnvEntry[]> => {
  const known: Known = { texts: new Map(), skipped: new Set() };
  for (const { name, source } of entries) if (source.kind === 'literal') known.texts.set(name, source.value);
  const missing: Prompt[] = [];
  const answers = new Map<string, Secret>();
  for (const entry of inOrder(entries.filter(isPrompt))) {
    const { name, source } = entry;
    const answer = source.question.dependsOn.some((other) => known.skipped.has(other)) ? 'skipped' : await answerTo(entry, known, ask);
    if (answer === 'skipped') known.skipped.add(name);
    else if (answer === 'missing') missing.push(entry);
    else if (answer !== 'filled in later') {
      known.texts.set(name, answer.text);
      answers.set(name, new Secret(answer.text));
    }
  }
  if (missing.length > 0) throw unanswered(missing);
  return entries
    .filter(({ name, source }) => source.kind !== 'prompt' || !known.skipped.has(name))
    .map((entry) => (isPrompt(entry) && answers.has(entry.name) ? { ...entry, source: { ...entry.source, answer: answers.get(entry.name)! } } : entry));
};
