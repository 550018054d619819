import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDockerfile } from '../../../src/docker/dockerfile-parse.ts';
import { modernIn } from '../../../src/docker/dockerfile-rules.ts';
import { substituteConstruct } from '../../../src/docker/dockerfile.ts';

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
    ['# syntax=docker/dockerfile:1\nFROM projectjackin/construct:a', '# escape=\\\nFROM mine:1'],
    ['# syntax=x\n# escape=`\nFROM projectjackin/construct:a\nRUN a `\n  b', '# escape=`\n#\nFROM mine:1\nRUN a `\n  b'],
    ['\ufeff#!/bin/x\n# syntax=x\nFROM projectjackin/construct:a', '#!/bin/x\n# escape=\\\nFROM mine:1'],
    ['FROM ${BASE:-projectjackin/construct:trixie}', 'FROM mine:1'],
    ['FROM projectjackin/construct:a\nRUN <<EOF cat\nFROM debian\nVOLUME /jackin \\\nEOF\nUSER x', 'FROM mine:1\nRUN <<EOF cat\nFROM debian\nVOLUME /jackin \\\nEOF\nUSER x'],
    ['FROM projectjackin/construct:a\nRUN echo "<<EOF" a<<b $((1<<2))', 'FROM mine:1\nRUN echo "<<EOF" a<<b $((1<<2))'],
    [`FROM golang@sha256:${'b'.repeat(64)} AS Build\nFROM build AS next\nFROM projectjackin/construct:a\nCOPY --from=Build /a /b`, `FROM golang@sha256:${'b'.repeat(64)} AS Build\nFROM build AS next\nFROM mine:1\nCOPY --from=Build /a /b`],
    [`FROM projectjackin/construct:a\nADD --checksum=sha256:${'c'.repeat(64)} https://example.test/x /x`, `FROM mine:1\nADD --checksum=sha256:${'c'.repeat(64)} https://example.test/x /x`],
    ['# FROM debian\nFROM projectjackin/construct:a\nRUN echo \\\n# FROM debian\n  FROM debian', '# FROM debian\nFROM mine:1\nRUN echo \\\n# FROM debian\n  FROM debian'],
  ])('%j', (text, expected) => {
    expect(substituted(text)).toBe(expected);
  });

  test.each([
    [['FROM debian:trixie'], 'Dockerfile:1: the final FROM is debian:trixie'],
    [['FROM projectjackin/construct:a AS b', '', 'FROM b'], 'Dockerfile:3: the final FROM is b'],
    [['FROM projectjackin/construct'], 'Dockerfile:1: FROM projectjackin/construct: projectjackin/construct names no version'],
    [['FROM projectjackin/construct-evil:1'], 'Dockerfile:1'],
    [['FROM evil/projectjackin/construct:1'], 'Dockerfile:1'],
    [['FROM'], 'Dockerfile:1: the final FROM is empty'],
    [['FROM --platform=linux/arm64 projectjackin/construct:a'], 'Dockerfile:1: FROM --platform=linux/arm64'],
    [['FROM projectjackin/construct:latest'], 'Dockerfile:1: FROM projectjackin/construct:latest: the tag latest of projectjackin/construct:latest moves'],
    [['FROM golang AS b', 'FROM projectjackin/construct:a'], 'Dockerfile:1: FROM golang: golang names no version'],
    [['FROM localhost:5000/golang AS b', 'FROM projectjackin/construct:a'], 'Dockerfile:1: FROM localhost:5000/golang: localhost:5000/golang names no version'],
    [['FROM node:Latest', 'FROM projectjackin/construct:a'], 'Dockerfile:1: FROM node:Latest: the tag Latest'],
    [['FROM projectjackin/construct:a', 'COPY --from=alpine /a /b'], 'Dockerfile:2: from=alpine: alpine names no version'],
    [['FROM projectjackin/construct:a', 'COPY --from=projectjackin/construct:a /a /b'], 'Dockerfile:2: from=projectjackin/construct:a: the construct stands only in a FROM'],
    [['FROM projectjackin/construct:a', 'RUN --mount=type=bind,from=alpine x'], 'Dockerfile:2: from=alpine'],
    [['FROM projectjackin/construct:a', 'RUN --mount=type=secret,id=x x'], 'Dockerfile:2: RUN --mount=type=secret: a role is built without any secret'],
    [['FROM projectjackin/construct:a', 'ADD https://example.test/x /x'], 'Dockerfile:2: ADD https://example.test/x: nothing says what this download has to be'],
    [['FROM projectjackin/construct:a', 'ADD ["http://example.test/x", "/x"]'], 'Dockerfile:2: ADD http://example.test/x'],
    [['FROM projectjackin/construct:a', 'ARG U=https://example.test', 'ADD ${U}/x /x'], 'Dockerfile:3: ADD https://example.test/x'],
    [['FROM projectjackin/construct:a', 'ADD git@example.test:a/b.git /x'], 'Dockerfile:2: ADD git@example.test:a/b.git'],
    [['FROM projectjackin/construct:a', 'ONBUILD RUN x'], 'Dockerfile:2: ONBUILD would never run'],
    [['FROM projectjackin/construct:a', 'RUM x'], 'Dockerfile:2: RUM is not an instruction'],
    [['FROM projectjackin/construct:a', 'RUN <<-"END"', '\tEN', 'END x'], 'Dockerfile:2: the text of this instruction does not end: there is no line END'],
    [['RUN x'], 'Dockerfile: there is no FROM'],
    [['FROM projectjackin/construct:a', 'VOLUME /data /jackin/run'], 'Dockerfile:2: VOLUME /jackin/run: jackin itself mounts there'],
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
      { line: 1, end: 1, keyword: 'FROM', rest: 'x', heredoc: false },
      { line: 4, end: 5, keyword: 'RUN', rest: 'a && b', heredoc: false },
      { line: 6, end: 6, keyword: 'ENV', rest: 'A=1', heredoc: false },
    ]);
  });

  test.each([
    ['RUN --mount=type=cache,target=/x make', 'RUN --mount=type=cache,target=/x', false],
    ['RUN --network=none make', 'RUN --network=none', false],
    ['COPY --chown=1:1 --chmod=755 a b', 'COPY --chmod=755', false],
    ['COPY --link a b', 'COPY --link', true],
    ['RUN <<EOF\nx\nEOF', 'RUN with a text that follows it (<<)', true],
  ])('%j is for BuildKit: %s', (text, what, isNew) => {
    expect(modernIn(parseDockerfile(`FROM x\n${text}`, 'Dockerfile'))).toEqual([{ line: 2, what, isNew }]);
  });

  test.each(['RUN make --mount=x', 'COPY --chown=1:1 a b'])('%j is for any builder', (text) => {
    expect(modernIn(parseDockerfile(`FROM x\n${text}`, 'Dockerfile'))).toEqual([]);
  });
});
