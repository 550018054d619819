import { JackinError } from '../shared/errors.ts';
import type { BuildSpec, Engine, LongCall } from './engine.ts';

const TAIL_LINES = 15;
const STEP_TEXT = 100;

/**
 * Builds an image; a build that fails says at which step, and shows the last lines
 * that it printed. `locate` turns the number of a step into words for a person.
 */
export const buildWithTail = async (
  engine: Engine,
  spec: BuildSpec,
  call: LongCall,
  locate: (step: number) => string | undefined,
): Promise<void> => {
  const tail: string[] = [];
  let step: { number: number; text: string } | undefined;
  const onLine = (line: string): void => {
    const found = /^Step (\d+)\/\d+ : (.*)/.exec(line);
    if (found?.[1] !== undefined) step = { number: Number(found[1]), text: (found[2] ?? '').slice(0, STEP_TEXT) };
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    call.onLine?.(line);
  };
  try {
    await engine.buildImage(spec, { ...call, onLine });
  } catch (error) {
    if (!(error instanceof JackinError) || error.code !== 'build.failed') throw error;
    const where = step === undefined ? '' : ` at ${locate(step.number) ?? `step ${step.number}`}: ${step.text}`;
    const lines = tail.map((line) => `  | ${line}`);
    throw new JackinError('build.failed', [`${error.message}${where}`, ...lines].join('\n'), { cause: error.cause });
  }
};
