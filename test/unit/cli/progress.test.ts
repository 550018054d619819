import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { progressPrinter } from '../../../src/cli/progress.ts';
import type { Deps } from '../../../src/launch/deps.ts';
import type { ProgressEvent } from '../../../src/shared/progress.ts';

const printed = (events: ProgressEvent[], terminal?: { columns: number }): string => {
  const stderr = Object.assign(new PassThrough(), terminal === undefined ? {} : { isTTY: true, ...terminal });
  const { report, end } = progressPrinter({ stderr, stdout: new PassThrough() } as unknown as Deps);
  events.forEach(report);
  end();
  return String(stderr.read() ?? '');
};

/** What stood on the terminal's line, one after the other. */
const shown = (events: ProgressEvent[], columns = 80): string[] => printed(events, { columns }).split('\r\u001b[K').slice(1, -1);

const BUILD: ProgressEvent[] = [
  { step: 'image', message: 'FROM construct', stage: { number: 1, count: 4 } },
  { step: 'image', message: 'RUN apt-get install -y a b c', stage: { number: 3, count: 4 } },
  { step: 'image', message: 'Unpacking a' },
  { step: 'image', message: 'Unpacking b' },
  { step: 'image', message: 'RUN apt-get install -y a b c (nothing printed for 30 s)', stage: { number: 3, count: 4 } },
  { step: 'runtime', message: 'asking the npm registry for Node 24' },
];

describe('on a terminal', () => {
  test('a build is a line with a bar, its step and what that prints', () => {
    expect(shown(BUILD)).toEqual([
      'image      [--------------] 1/4 FROM construct',
      'image      [#######-------] 3/4 RUN apt-get install -y a b c',
      'image      [#######-------] 3/4 RUN apt-get install -y… | Unpacking a',
      'image      [#######-------] 3/4 RUN apt-get install -y… | Unpacking b',
      'image      [#######-------] 3/4 RUN apt-get install -y a b c (nothing printed …',
      'runtime    asking the npm registry for Node 24',
    ]);
  });

  test('a terminal that does not know its width counts as a usual one', () => {
    expect(shown([{ step: 'runtime', message: 'asking the npm registry for Node 24' }], 0)).toEqual(['runtime    asking the npm registry for Node 24']);
  });

  test('a download has its bytes in the bar, and without a total just the bytes', () => {
    expect(
      shown([
        { step: 'agent kimi', message: 'downloading', done: 0, total: 18_500_000 },
        { step: 'agent kimi', message: 'downloading', done: 9_250_000, total: 18_500_000 },
        { step: 'agent kimi', message: 'downloading', done: 18_500_000, total: 18_500_000 },
        { step: 'runtime', message: 'downloading', done: 1_250_000 },
      ]),
    ).toEqual([
      'agent kimi [--------------] 0.0/18.5 MB downloading',
      'agent kimi [#######-------] 9.3/18.5 MB downloading',
      'agent kimi [##############] 18.5/18.5 MB downloading',
      'runtime    1.3 MB downloading',
    ]);
  });

  test('no line is wider than the terminal, whatever is printed, and nothing is drawn twice', () => {
    const long = { step: 'image', message: 'x'.repeat(500), stage: { number: 1, count: 2 } };
    for (const columns of [60, 80, 200]) {
      const lines = shown([long, long, { step: 'image', message: '😀'.repeat(500) }], columns);
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(Array.from(line).length).toBeLessThan(columns);
    }
  });

  test('control sequences of a build do not reach it, and the line is gone at the end', () => {
    const text = printed([{ step: 'image', message: '\u001b[2Jboo\u0007\r\n\u009b31m' }], { columns: 80 });
    expect(text).toBe('\r\u001b[Kimage       [2Jboo 31m\r\u001b[K');
  });
});

describe('without a terminal', () => {
  test('a line for every step, nothing of what a step prints, and a word when it is silent', () => {
    expect(printed(BUILD)).toBe(
      [
        'image      step 1/4 FROM construct',
        'image      step 3/4 RUN apt-get install -y a b c',
        'image      step 3/4 RUN apt-get install -y a b c (nothing printed for 30 s)',
        'runtime    asking the npm registry for Node 24',
        '',
      ].join('\n'),
    );
  });

  test('a download is one line, however often it is counted', () => {
    const events = Array.from({ length: 1000 }, (_each, done) => ({ step: 'agent kimi', message: 'downloading', done, total: 1000 }));
    expect(printed(events)).toBe('agent kimi downloading\n');
  });

  test('another step that talks meanwhile does not bring the output of a build back', () => {
    expect(printed([BUILD[1]!, { step: 'runtime', message: 'filling' }, { step: 'image', message: 'Unpacking a' }])).not.toContain('Unpacking');
  });
});
