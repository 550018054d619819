import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDockerfile, substituteConstruct } from '../../../src/docker/dockerfile.ts';

const substituted = (...lines: string[]): string => substituteConstruct(lines.join('\n'), 'Dockerfile', 'mine:1');

describe('the construct in a role\'s Dockerfile', () => {
  test.each([
    ['FROM projectjackin/construct:trixie', 'FROM mine:1'],
    ['from  projectjackin/construct:0.4-trixie', 'FROM mine:1'],
    ['FROM projectjackin/construct:trixie AS final', 'FROM mine:1 AS final'],
    [`FROM projectjackin/construct:trixie@sha256:${'a'.repeat(64)}`, 'FROM mine:1'],
    ['ARG TAG=trixie\nFROM projectjackin/construct:$TAG', 'ARG TAG=trixie\nFROM mine:1'],
    ['ARG BASE="projectjackin/construct:trixie"\nFROM ${BASE} AS x', 'ARG BASE="projectjackin/construct:trixie"\nFROM mine:1 AS x'],
    ['FROM \\\n  # why\n  projectjackin/construct:trixie\nRUN x', 'FROM mine:1\n\n\nRUN x'],
    ['# escape=`\nFROM projectjackin/construct:trixie `\n AS x', '# escape=`\nFROM mine:1 AS x\n'],
    ['FROM golang:1 AS build\nRUN make\nFROM projectjackin/construct:trixie\nCOPY --from=build /a /b', 'FROM golang:1 AS build\nRUN make\nFROM mine:1\nCOPY --from=build /a /b'],
    ['FROM projectjackin/construct:a\nVOLUME /data /jackinx /home2', 'FROM mine:1\nVOLUME /data /jackinx /home2'],
    ['FROM projectjackin/construct:a AS build\nFROM projectjackin/construct:a', 'FROM mine:1 AS build\nFROM mine:1'],
    ['# FROM debian\nFROM projectjackin/construct:a\nRUN echo \\\n# FROM debian\n  FROM debian', '# FROM debian\nFROM mine:1\nRUN echo \\\n# FROM debian\n  FROM debian'],
  ])('%j', (text, expected) => {
    expect(substituted(text)).toBe(expected);
  });

  test.each([
    [['FROM debian:trixie'], 'Dockerfile:1: the final FROM is debian:trixie'],
    [['FROM projectjackin/construct:a AS b', '', 'FROM b'], 'Dockerfile:3: the final FROM is b'],
    [['FROM projectjackin/construct'], 'Dockerfile:1: the final FROM is projectjackin/construct;'],
    [['FROM projectjackin/construct-evil:1'], 'Dockerfile:1'],
    [['FROM evil/projectjackin/construct:1'], 'Dockerfile:1'],
    [['FROM'], 'Dockerfile:1: the final FROM is empty'],
    [['FROM --platform=linux/arm64 projectjackin/construct:a'], 'Dockerfile:1: FROM --platform=linux/arm64'],
    [['RUN x'], 'Dockerfile: there is no FROM'],
    [['FROM projectjackin/construct:a', 'VOLUME /data /jackin/run'], 'Dockerfile:2: VOLUME /jackin/run: jackin itself mounts at /jackin'],
    [['FROM projectjackin/construct:a', 'VOLUME ["/home/agent/.kimi-code/"]'], 'Dockerfile:2: VOLUME /home/agent/.kimi-code/'],
    [['FROM projectjackin/construct:a', 'VOLUME /home'], 'Dockerfile:2: VOLUME /home'],
    [['FROM projectjackin/construct:a', 'RUN x \\'], 'Dockerfile:2: this instruction does not end'],
  ])('refuses %j', (lines, message) => {
    expect(() => substituted(...lines)).toThrow(expect.objectContaining({ code: 'build.failed', message: expect.stringContaining(message) }));
  });

  test('keeps the number of lines, whatever else is in the file', () => {
    const line = fc.constantFrom('RUN a', 'RUN a \\', '# c', '', 'ENV x=y', 'COPY a b');
    fc.assert(
      fc.property(fc.array(line), fc.array(line), (before, after) => {
        const head = before.filter((each) => each.startsWith('#') || each === '');
        const text = [...head, 'FROM projectjackin/construct:a', ...after, 'RUN end'].join('\n');
        const result = substituteConstruct(text, 'Dockerfile', 'mine:1').split('\n');
        expect(result.length).toBe(text.split('\n').length);
        expect(result.filter((each) => each.includes('projectjackin'))).toEqual([]);
      }),
    );
  });

  test('instructions know their first line', () => {
    const found = parseDockerfile('FROM x\n\n# c\nRUN a && \\\n  b\nenv A=1\n', 'Dockerfile');
    expect(found).toEqual([
      { line: 1, end: 1, keyword: 'FROM', rest: 'x' },
      { line: 4, end: 5, keyword: 'RUN', rest: 'a && b' },
      { line: 6, end: 6, keyword: 'ENV', rest: 'A=1' },
    ]);
  });
});
