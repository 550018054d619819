import { setTimeout as sleep } from 'node:timers/promises';
import { JackinError } from '../shared/errors.ts';
import type { BuildSpec, Engine, LongCall } from './engine.ts';

const TAIL_LINES = 15;
const STEP_TEXT = 100;
const MESSAGE_PART = 200;
const SILENCE_MS = 30_000;
const GRACE_MS = 5000;
const POLL_MS = 200;

/** What a step of a build is to a person. */
export interface NamedStep {
  /** Such as `Dockerfile:7`. */
  place: string;
  /** In place of the instruction, where that says nothing to anybody. */
  text?: string;
}

interface Step {
  number: number;
  count: number;
  text: string;
  place: string;
}

/** A program that a step has run may be the one to notice. */
const DISK_FULL = /no space left on device/i;
const DISK_HINT = "free some space on the disk that holds the engine's data, then try again";

/** An engine may have given up the builder that is asked for. */
const NO_BUILDER = /\bbuild(?:er|kit)\b/i;
const BUILDER_HINT = 'this engine may have another builder only: set JACKIN_BUILDER to buildkit, or to classic';

/** What the builder says of its own housekeeping. */
const HOUSEKEEPING = /^(?: ---> |Removing intermediate container |Successfully (?:built|tagged) )/;

/** Follows the lines of a build: at which step it is, what it printed, and which images it has made so far. */
const follow = (call: LongCall, name: (step: number, text: string) => NamedStep | undefined) => {
  const tail: string[] = [];
  const images: string[] = [];
  let step: Step | undefined;
  /** The image of the step is not this build's own. */
  let isForeign = false;
  let silentSince = Date.now();
  const sayStep = (more: string): void => {
    if (step !== undefined) call.onLine?.(`${step.text}${more}`, { stage: { number: step.number, count: step.count } });
  };
  const onLine = (line: string): void => {
    silentSince = Date.now();
    const [, number, count, text] = /^Step (\d+)\/(\d+) : (.*)/.exec(line) ?? [];
    if (text !== undefined) {
      const named = name(Number(number), text);
      step = { number: Number(number), count: Number(count), text: named?.text ?? text.slice(0, STEP_TEXT), place: named?.place ?? `step ${number}` };
      isForeign = text.startsWith('FROM ');
      sayStep('');
      return;
    }
    if (HOUSEKEEPING.test(line)) {
      const id = /^ ---> ([0-9a-f]{12,64})$/.exec(line)?.[1];
      isForeign ||= line === ' ---> Using cache';
      if (id !== undefined && !isForeign) images.push(id);
      return;
    }
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    call.onLine?.(line);
  };
  const tellOfSilence = (): void => sayStep(` (nothing printed for ${Math.round((Date.now() - silentSince) / 1000)} s)`);
  return { onLine, tellOfSilence, tail, images, step: () => step };
};

/** The engine repeats a whole script in its message: the beginning says which one it is, the end why it failed. */
const shortened = (message: string): string =>
  message.length <= 2 * MESSAGE_PART ? message : `${message.slice(0, MESSAGE_PART)} … ${message.slice(-MESSAGE_PART)}`.replaceAll(/\s+/g, ' ');

const tagsOf = (image: { RepoTags?: string[] | null }): string[] => image.RepoTags ?? [];

/**
 * Takes back what an interrupted build has made. The engine may still be ending the
 * step that ran, and holds its image until then.
 */
const removeTraces = async (engine: Engine, images: readonly string[]): Promise<void> => {
  const until = Date.now() + GRACE_MS;
  for (const id of [...images].reverse()) {
    for (;;) {
      // Somebody else's build of the same may have given it a name.
      const found = await engine.inspect('image', id, { signal: AbortSignal.timeout(GRACE_MS) });
      if (found === undefined || tagsOf(found).length > 0) break;
      const removal = await engine.removeImage(id).catch(() => undefined);
      if (removal !== undefined || Date.now() > until) break;
      await sleep(POLL_MS);
    }
  }
};

/**
 * Builds an image; a build that fails says at which step, and shows the last lines
 * that it printed. A build that is interrupted leaves no image; one that fails leaves
 * its steps to the engine, which goes on from there the next time. `name` turns the
 * number and the text of a step into words for a person.
 */
export const buildWithTail = async (
  engine: Engine,
  spec: BuildSpec,
  call: LongCall,
  name: (step: number, text: string) => NamedStep | undefined,
): Promise<void> => {
  const followed = follow(call, name);
  const watch = setInterval(followed.tellOfSilence, SILENCE_MS);
  try {
    await engine.buildImage(spec, { ...call, onLine: followed.onLine });
  } catch (error) {
    if (!(error instanceof JackinError)) throw error;
    if (error.code === 'interrupted') await removeTraces(engine, followed.images).catch(() => undefined);
    if (error.code !== 'build.failed' && error.code !== 'disk.full') throw error;
    const step = followed.step();
    const isFull = error.code === 'disk.full' || followed.tail.some((line) => DISK_FULL.test(line));
    const code = isFull ? 'disk.full' : error.code;
    const hint = isFull ? DISK_HINT : step === undefined && NO_BUILDER.test(error.message) ? BUILDER_HINT : error.hint;
    const message = isFull && error.code !== 'disk.full' ? `the container engine's disk is full: ${error.message}` : error.message;
    const where = step === undefined ? '' : ` at ${step.place}: ${step.text}`;
    const lines = followed.tail.map((line) => `  | ${line}`);
    throw new JackinError(code, [`${shortened(message)}${where}`, ...lines].join('\n'), { hint, cause: error.cause });
  } finally {
    clearInterval(watch);
  }
};
