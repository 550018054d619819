import { Readable } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { buildWithTail } from '../../../src/docker/build.ts';
import { connectEngine } from '../../../src/docker/docker-engine.ts';
import type { Engine, LineProgress } from '../../../src/docker/engine.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { type Answer, json, startDockerSocket, VERSION } from '../../fakes/docker-socket.ts';
import { fakeEngine } from '../../fakes/engine.ts';

const spec = () => ({ context: Readable.from([]), dockerfile: 'Dockerfile', tag: 'role:1', labels: {} });
const nameless = () => undefined;

/** An engine whose build prints these lines and then ends as told. */
const printing = (lines: string[], end: JackinError | Promise<never> | undefined, more: Partial<Engine> = {}): Engine => ({
  ...fakeEngine(),
  buildImage: async (_spec, call) => {
    lines.forEach((line) => call.onLine?.(line));
    if (end instanceof JackinError) throw end;
    await end;
  },
  ...more,
});

const STEPS = [
  'Step 1/4 : FROM construct:1',
  ' ---> aaaaaaaaaaaa',
  'Step 2/4 : RUN one',
  ' ---> Using cache',
  ' ---> bbbbbbbbbbbb',
  'Step 3/4 : RUN two',
  ' ---> Running in 111111111111',
  'output of two',
  'Removing intermediate container 111111111111',
  ' ---> cccccccccccc',
  'Step 4/4 : RUN three',
  ' ---> Running in 222222222222',
];

describe('what a build tells', () => {
  test('its steps with how many there are, what they print, and nothing of the builder\'s housekeeping', async () => {
    const told: [string, LineProgress | undefined][] = [];
    await buildWithTail(printing(STEPS, undefined), spec(), { onLine: (line, progress) => void told.push([line, progress]) }, (step) => (step === 4 ? { place: 'p', text: 'the last one' } : undefined));
    expect(told).toEqual([
      ['FROM construct:1', { stage: { number: 1, count: 4 } }],
      ['RUN one', { stage: { number: 2, count: 4 } }],
      ['RUN two', { stage: { number: 3, count: 4 } }],
      ['output of two', undefined],
      ['the last one', { stage: { number: 4, count: 4 } }],
    ]);
  });

  describe('in silence', () => {
    afterEach(() => void vi.useRealTimers());

    test('every thirty seconds that it still runs, and for how long it has printed nothing', async () => {
      vi.useFakeTimers();
      const told: string[] = [];
      let stop: (error: JackinError) => void = () => undefined;
      const end = new Promise<never>((_resolve, reject) => (stop = reject));
      const building = buildWithTail(printing(STEPS, end), spec(), { onLine: (line) => void told.push(line) }, nameless).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(61_000);
      expect(told.slice(-2)).toEqual(['RUN three (nothing printed for 30 s)', 'RUN three (nothing printed for 60 s)']);
      stop(new JackinError('build.failed', 'over'));
      await building;
      const count = told.length;
      await vi.advanceTimersByTimeAsync(61_000);
      expect(told).toHaveLength(count);
    });
  });
});

describe('a build that is interrupted', () => {
  const interrupted = new JackinError('interrupted', 'interrupted');

  test('leaves none of the images that it has made itself, newest first, though the engine is not done at once', async () => {
    const removed: string[] = [];
    let refusals = 2;
    const engine = printing([...STEPS, ' ---> dddddddddddd'], interrupted, {
      inspect: async () => ({ RepoTags: [] }),
      removeImage: async (id) => {
        if ((refusals -= 1) >= 0) throw new JackinError('engine.failed', 'image is being used by stopped container');
        removed.push(id);
        return 'removed';
      },
    });
    await expect(buildWithTail(engine, spec(), {}, nameless)).rejects.toBe(interrupted);
    expect(removed).toEqual(['dddddddddddd', 'cccccccccccc']);
  });

  test('keeps an image that has got a name meanwhile', async () => {
    const removeImage = vi.fn<Engine['removeImage']>();
    const engine = printing(STEPS, interrupted, { inspect: async () => ({ RepoTags: ['role:1'] }), removeImage });
    await expect(buildWithTail(engine, spec(), {}, nameless)).rejects.toBe(interrupted);
    expect(removeImage).not.toHaveBeenCalled();
  });

  test('a build that fails leaves its steps to the engine', async () => {
    const removeImage = vi.fn<Engine['removeImage']>();
    await expect(buildWithTail(printing(STEPS, new JackinError('build.failed', 'no'), { removeImage }), spec(), {}, nameless)).rejects.toThrow('no at step 4: RUN three\n  | output of two');
    expect(removeImage).not.toHaveBeenCalled();
  });
});

test('a script that the engine repeats in its message does not bury why it failed', async () => {
  const message = `building role:1: The command '/bin/sh -c ${'true;\n'.repeat(300)}' returned a non-zero code: 7`;
  const error = await buildWithTail(printing([], new JackinError('build.failed', message)), spec(), {}, nameless).catch((caught: unknown) => caught);
  expect((error as Error).message).toMatch(/^building role:1: The command '\/bin\/sh -c true; .{100,400} … .* returned a non-zero code: 7$/);
});

describe('an engine that fails in the middle of a build', () => {
  const build = async (answer: Answer): Promise<unknown> => {
    const { env, close } = await startDockerSocket({ 'GET /version': VERSION, 'POST /build': answer });
    try {
      const engine = await connectEngine(env);
      return await buildWithTail(engine, spec(), {}, nameless).catch((error: unknown) => error);
    } finally {
      await close();
    }
  };
  const events = (...lines: object[]): string => lines.map((line) => `${JSON.stringify(line)}\r\n`).join('');
  const step = { stream: 'Step 1/2 : RUN apt-get install everything\n' };

  test('because it is killed: the connection broke', async () => {
    const killed: Answer = (_request, response) => {
      response.writeHead(200).write(events(step));
      setTimeout(() => response.destroy(), 50);
    };
    expect(await build(killed)).toMatchObject({ code: 'engine.unreachable', message: expect.stringMatching(/^building role:1: the connection .* broke/), hint: expect.any(String) });
  });

  test('because it stops in the middle of a line', async () => {
    expect(await build((_request, response) => void response.writeHead(200).end(`${events(step)}{"stream":"half`))).toMatchObject({
      code: 'engine.unreachable',
      message: expect.stringContaining('broke'),
    });
  });

  test('because its disk is full: said as that, with the step', async () => {
    const full = { errorDetail: { message: 'write /var/lib/x: no space left on device' }, error: 'write /var/lib/x: no space left on device' };
    expect(await build((_request, response) => void response.writeHead(200).end(events(step, { stream: 'Unpacking\n' }, full)))).toMatchObject({
      code: 'disk.full',
      message: expect.stringMatching(/disk is full .* at step 1: RUN apt-get install everything\n {2}\| Unpacking$/),
      hint: expect.stringContaining('free some space'),
    });
  });

  test('because a step has filled the disk, and only its output says so', async () => {
    const failed = { errorDetail: { code: 1, message: "The command '/bin/sh -c x' returned a non-zero code: 1" }, error: 'x' };
    expect(await build((_request, response) => void response.writeHead(200).end(events(step, { stream: 'cp: error writing /x: No space left on device\n' }, failed)))).toMatchObject({ code: 'disk.full' });
  });

  test('because it has no builder of the kind that is asked for', async () => {
    expect(await build(json(501, { message: 'the classic builder is gone' }))).toMatchObject({ code: 'build.failed', message: 'building role:1: the classic builder is gone', hint: expect.stringContaining('JACKIN_BUILDER') });
  });
});
