/** Runs targets until their number or their time is over. `scripts/fuzz.mjs` bundles and starts it. */
import { writeSync, openSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fuzz, inputOf, report, tryInput } from './run.ts';
import type { Target } from './target.ts';
import { TARGETS } from './targets.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string' }, count: { type: 'string' }, seconds: { type: 'string' }, index: { type: 'string' }, input: { type: 'string' }, at: { type: 'string' }, list: { type: 'boolean' } },
});

const DEFAULT_COUNT = 1000;
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const unknown = positionals.filter((name) => TARGETS.every((target) => target.name !== name));
const chosen = positionals.length === 0 ? TARGETS : TARGETS.filter(({ name }) => positionals.includes(name));

/** Says which input is at work in a file that outlives this process: one that never ends cannot say it afterwards. */
const noteIn = (file: string | undefined): ((target: Target) => ((index: number) => void) | undefined) => {
  if (file === undefined) return () => undefined;
  const descriptor = openSync(file, 'w');
  return (target: Target) => (index: number) => void writeSync(descriptor, `${target.name}\n${index}\n${seed}\n`.padEnd(200), 0);
};

const replay = async (target: Target): Promise<boolean> => {
  const input = values.input === undefined ? inputOf(target, seed, Number(values.index)) : Buffer.from(values.input, 'base64');
  const why = await tryInput(target, input);
  console.log(`${target.name}: ${input.length} bytes ${JSON.stringify(input.toString('latin1').slice(0, 500))}\n${why ?? 'nothing is wrong'}`);
  return why === undefined;
};

const run = async (target: Target, note: ReturnType<typeof noteIn>): Promise<boolean> => {
  const end = performance.now() + Number(values.seconds) * 1000;
  const count = Number(values.count ?? DEFAULT_COUNT);
  const start = performance.now();
  const more = (index: number): boolean => (values.seconds === undefined ? index < count : performance.now() < end);
  const done = await fuzz(target, { seed, more, ...(note(target) && { onInput: note(target)! }) });
  console.log(`${target.name.padEnd(20)} ${String(done.count).padStart(8)} inputs ${Math.round(performance.now() - start)} ms`);
  if (done.failure !== undefined) console.log(`\n${report(done.failure)}\n`);
  return done.failure === undefined;
};

const main = async (): Promise<boolean> => {
  if (values.list) return TARGETS.forEach(({ name }) => console.log(name)), true;
  if (unknown.length > 0) return console.error(`no such target: ${unknown.join(', ')}; --list names them`), false;
  console.log(`seed ${seed}`);
  const note = noteIn(values.at);
  let isGood = true;
  for (const target of chosen) isGood = (values.index === undefined && values.input === undefined ? await run(target, note) : await replay(target)) && isGood;
  return isGood;
};

process.exitCode = (await main()) ? 0 : 1;
