/** Every parser of what others wrote, with inputs that nobody meant. `npm run fuzz` does it for as long as one likes. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { JackinError } from '../../src/shared/errors.ts';
import { fuzz, inputOf, report } from '../fuzz/run.ts';
import { target } from '../fuzz/target.ts';
import { TARGETS } from '../fuzz/targets.ts';

/** Another one for each day of work finds more; a fixed one tells a change of the code from luck. */
const SEED = Number(process.env.JACKIN_FUZZ_SEED ?? 20261127);
/** Fewer for what touches the disk. */
const COUNT = 1000;

describe('an input that nobody meant', () => {
  it.each(TARGETS)(`is taken or refused: $name (seed ${SEED})`, async (one) => {
    const { failure } = await fuzz(one, { seed: SEED, more: (index) => index < (one.count ?? COUNT) });
    expect(failure === undefined ? '' : report(failure)).toBe('');
  });
});

describe('the fuzzer', () => {
  const parser = (run: (input: Buffer) => unknown) => target({ name: 'a parser', covers: [], form: 'json', seeds: () => ['{"name":"x","inner":{"list":[1,2,3]}}'], run });
  const find = (run: (input: Buffer) => unknown) => fuzz(parser(run), { seed: 1, more: (index) => index < 2000 });

  it('tells a parser that throws a TypeError, with what replays it', async () => {
    const careless = (input: Buffer): void => {
      let value: unknown;
      try {
        value = JSON.parse(input.toString());
      } catch {
        throw new JackinError('usage', 'no JSON');
      }
      (value as { inner: { list: number[] } }).inner.list.join();
    };
    const { failure } = await find(careless);
    expect(failure?.why).toMatch(/^TypeError/);
    expect(report(failure!)).toContain(`--seed 1 --index ${failure!.index}`);
    expect(() => careless(inputOf(parser(careless), 1, failure!.index))).toThrow(TypeError);
    // It was made shorter, and still fails.
    expect(() => careless(failure!.input)).toThrow(TypeError);
  });

  it('tells a parser that writes into a prototype', async () => {
    const merge = (into: Record<string, unknown>, from: Record<string, unknown>): void => {
      for (const [key, value] of Object.entries(from)) {
        if (typeof value === 'object' && value !== null && typeof into[key] === 'object') merge(into[key] as Record<string, unknown>, value as Record<string, unknown>);
        else into[key] = value;
      }
    };
    const { failure } = await fuzz(
      target({ name: 'a merge', covers: [], form: 'json', seeds: () => ['{"a":{"polluted":1}}', '{"__proto__":{"polluted":1}}'], run: (input) => { try { merge({}, JSON.parse(input.toString()) as Record<string, unknown>); } catch { /* no JSON */ } } }),
      { seed: 1, more: (index) => index < 200 },
    );
    expect(failure?.why).toBe('it wrote polluted into a prototype');
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('tells a parser that takes too long', async () => {
    const slow = (): void => {
      const start = process.cpuUsage();
      while (process.cpuUsage(start).user < 3_100_000);
    };
    expect((await find(slow)).failure?.why).toMatch(/^it took \d+ ms/);
  });

  it('makes the same inputs of a seed again, and others of another', () => {
    const one = parser(() => undefined);
    const inputs = (seed: number) => Array.from({ length: 50 }, (_each, index) => inputOf(one, seed, index + 1).toString('base64'));
    expect(inputs(1)).toEqual(inputs(1));
    expect(inputs(1)).not.toEqual(inputs(2));
    expect(new Set(inputs(1)).size).toBeGreaterThan(30);
  });
});

/** Files that parse something and have no target, each with the reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'src/capsule/home/swap.ts': 'its plan is written and read by the capsule alone, inside of the container',
  'src/cli/config-schema.ts': 'reads a schema of this package',
  'src/config/new-workspace.ts': 'parses what it has just written',
  'src/docker/docker-images.ts': 'events of the engine; one that is cut off has a test of its own',
  'src/docker/fill.ts': 'labels of volumes that jackin made',
  'src/docker/find-endpoint.ts': 'the operator’s own settings of the docker client',
  'src/launch/verify-archive.ts': 'a tar that the engine made; what it holds is searched, never unpacked',
};

const PARSES = /JSON\.parse\(|parseTOML\(|from 'smol-toml'|\bsafeParse\(|Schema\.parse\(|= extract\(\)|createGunzip\(/;

describe('the targets', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).map((file) => `src/${file}`);
  const covered = new Set(TARGETS.flatMap(({ covers }) => covers));

  it('are all parsers that there are, but for those that say why not', () => {
    const parsers = sources.filter((file) => PARSES.test(readFileSync(file, 'utf8')));
    expect(parsers.length).toBeGreaterThan(20);
    expect(parsers.filter((file) => !covered.has(file) && !Object.hasOwn(LEFT_OUT, file))).toEqual([]);
  });

  it('name files that there are, and leave out none that has one', () => {
    expect([...covered, ...Object.keys(LEFT_OUT)].filter((file) => !sources.includes(file))).toEqual([]);
    expect(Object.keys(LEFT_OUT).filter((file) => covered.has(file) || !PARSES.test(readFileSync(file, 'utf8')))).toEqual([]);
  });

  it('have names that can be typed, each its own', () => {
    const names = TARGETS.map(({ name }) => name);
    expect(names.filter((name) => !/^[\w.-]+$/.test(name))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });
});
