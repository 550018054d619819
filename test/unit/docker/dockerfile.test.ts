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

  const ROLE = 'FROM projectjackin/construct:a';

  test.each<[string, string[], string]>([
    ['an ARG', ['ARG V=/home/agent', 'VOLUME $V'], 'Dockerfile:3: VOLUME $V (/home/agent): jackin itself mounts there'],
    ['an ARG in braces', ['ARG V=/home', 'VOLUME ${V}/agent'], 'Dockerfile:3: VOLUME ${V}/agent (/home/agent)'],
    ['an ARG of an ARG', ['ARG A=agent V=/home/$A', 'VOLUME $V'], 'Dockerfile:3: VOLUME $V (/home/agent)'],
    ['an ENV', ['ENV V=/home/agent', 'VOLUME $V'], 'Dockerfile:3: VOLUME $V (/home/agent)'],
    ['an ENV in its old form', ['ENV V /home/agent', 'VOLUME $V'], 'Dockerfile:3: VOLUME $V (/home/agent)'],
    ['an ENV that goes before an ARG', ['ARG V=/data', 'ENV V=/jackin', 'VOLUME $V'], 'Dockerfile:4: VOLUME $V (/jackin)'],
    ['a default', ['ARG V=', 'VOLUME ${V:-/home/agent}'], 'Dockerfile:3: VOLUME ${V:-/home/agent} (/home/agent)'],
    ['a default in a default', ['ARG V= W=', 'VOLUME ${V:-${W:-/home/agent}}'], 'Dockerfile:3: VOLUME ${V:-${W:-/home/agent}} (/home/agent)'],
    ['an alternative', ['ARG V=x', 'VOLUME ${V:+/home/agent}'], 'Dockerfile:3: VOLUME ${V:+/home/agent} (/home/agent)'],
    ['a variable that only the base image can have set', ['VOLUME $HOME'], 'Dockerfile:2: VOLUME $HOME: it cannot be known which place this is'],
    ['a variable beside a harmless place', ['VOLUME /data/$X'], 'Dockerfile:2: VOLUME /data/$X: it cannot be known'],
    ['an ARG without a value', ['ARG V', 'VOLUME $V'], 'Dockerfile:3: VOLUME $V: it cannot be known'],
    ['a form of newer builders', ['ARG V=x/home/agent', 'VOLUME ${V#x}'], 'Dockerfile:3: VOLUME ${V#x}: it cannot be known'],
    ['a list', ['VOLUME ["/home/agent"]'], 'Dockerfile:2: VOLUME /home/agent'],
    ['a variable in a list', ['ARG V=/home/agent', 'VOLUME ["$V"]'], 'Dockerfile:3: VOLUME $V (/home/agent)'],
    ['escapes of a list', [String.raw`VOLUME ["\/home\u002fagent"]`], 'Dockerfile:2: VOLUME /home/agent'],
    ['a list with something behind it', ['VOLUME ["/home/agent"] x'], 'Dockerfile:2: VOLUME: some builders read the list'],
    ['double quotes', ['VOLUME /ho"me/age"nt'], 'Dockerfile:2: VOLUME /ho"me/age"nt (/home/agent)'],
    ['single quotes', ["VOLUME '/home/agent'"], "Dockerfile:2: VOLUME '/home/agent' (/home/agent)"],
    ['quotes that do not end', ['VOLUME "/home/agent'], 'Dockerfile:2: VOLUME "/home/agent: it cannot be known'],
    ['an escape', [String.raw`VOLUME /home\/agent`], 'Dockerfile:2: VOLUME /home\\/agent (/home/agent)'],
    ['a line that goes on in the middle of a word', ['VOLUME /ho\\', 'me/agent'], 'Dockerfile:2: VOLUME /home/agent'],
    ['a comment in the middle of a word', ['VOLUME /ho\\', '# why', 'me/agent'], 'Dockerfile:2: VOLUME /home/agent'],
    ['no slash at the beginning', ['VOLUME home/agent'], 'Dockerfile:2: VOLUME home/agent'],
    ['a way around', ['VOLUME /var/../home/./agent//'], 'Dockerfile:2: VOLUME /var/../home/./agent//'],
    ['the root', ['VOLUME /'], 'Dockerfile:2: VOLUME /'],
    ['lower case', ['volume /jackin'], 'Dockerfile:2: VOLUME /jackin'],
    ['a second place', ['VOLUME /data /home/agent'], 'Dockerfile:2: VOLUME /home/agent'],
    ['ONBUILD', ['ONBUILD VOLUME /home/agent'], 'Dockerfile:2: ONBUILD would never run'],
  ])('no volume over what jackin mounts gets by with %s', (_what, lines, message) => {
    expect(() => substituted(ROLE, ...lines)).toThrow(expect.objectContaining({ code: 'build.failed', message: expect.stringContaining(message) }));
  });

  test.each<[string, string]>([
    ['variables that hold each other', `${ROLE}\nARG A=xxxxxxxx\n${Array.from({ length: 60 }, (_, index) => `ARG A${index + 1}=$A${index || ''}$A${index || ''}`).join('\n')}\nVOLUME $A60`],
    ['defaults in defaults', `${ROLE}\nVOLUME ${'${V:-'.repeat(100_000)}${'}'.repeat(100_000)}`],
    ['texts that follow', `${ROLE}\n${'RUN <<A\nA\n'.repeat(60_000)}VOLUME /home`],
    ['open quotes', `${ROLE}\nRUN <<A ${`"'`.repeat(200_000)}\\"\nA\nVOLUME /home`],
    ['options', `${ROLE}\nRUN ${'--mount=type=cache,target=/x '.repeat(30_000)}--network=host x`],
    ['commas', `${ROLE}\nRUN --mount=${',"'.repeat(200_000)} x\nVOLUME /home`],
    ['lines of one instruction', `${ROLE}\n${'VOLUME /x \\\n'.repeat(60_000)}/home`],
    ['bytes', `${ROLE}\n#${'x'.repeat(1024 * 1024)}`],
  ])('is judged in little time with very many %s', (_what, text) => {
    expect(() => substituted(text)).toThrow(expect.objectContaining({ code: 'build.failed', message: expect.stringMatching(/Dockerfile:/) }));
  });

  test('nor with another escape character', () => {
    expect(() => substituted('# escape=`', ROLE, 'VOLUME /ho`', 'me/age`nt')).toThrow('Dockerfile:3: VOLUME /home/age`nt (/home/agent)');
  });

  test.each<[string, string[], string]>([
    ['the host network', ['RUN --network=host x'], 'Dockerfile:2: RUN --network=host: a role is built with no more rights'],
    ['the host network in quotes', ['RUN --ne"twork=ho"st x'], 'Dockerfile:2: RUN --network=host'],
    ['the host network in a later line', ['RUN \\', '  --network=h\\', 'ost x'], 'Dockerfile:2: RUN --network=host'],
    ['the host network behind another option', ['RUN --mount=type=cache,target=/x --network=host x'], 'Dockerfile:2: RUN --network=host'],
    ['the host network and a text that follows', ['RUN --network=host <<EOF', 'x', 'EOF'], 'Dockerfile:2: RUN --network=host'],
    ['a network by a variable', ['ARG N=host', 'RUN --network=$N x'], 'Dockerfile:3: RUN --network=$N'],
    ['lower case', ['run --network=host x'], 'Dockerfile:2: RUN --network=host'],
    ['more rights', ['RUN --security=insecure x'], 'Dockerfile:2: RUN --security=insecure'],
    ['a device', ['RUN --device=vendor.example/gpu=all x'], 'Dockerfile:2: RUN --device=vendor.example/gpu=all'],
    ['an option that nobody knows', ['RUN --constructor=x x'], 'Dockerfile:2: RUN --constructor=x'],
    ['a secret', ['RUN --mount=id=x,type=secret x'], 'Dockerfile:2: RUN --mount=type=secret: a role is built without any secret'],
    ['a secret in a second mount', ['RUN --mount=type=cache,target=/x --mount=type=secret,id=x x'], 'Dockerfile:2: RUN --mount=type=secret'],
    ['a secret in capitals', ['RUN --mount=Type=SECRET,id=x x'], 'Dockerfile:2: RUN --mount=type=secret'],
    ['a secret in quotes', [`RUN --mount='"type=secret",id=x' x`], 'Dockerfile:2: RUN --mount=type=secret'],
    ['a secret by a variable', ['ARG T=secret', 'RUN --mount=type=$T,id=x x'], 'Dockerfile:3: RUN --mount=type=secret'],
    ['a mount of a kind that cannot be known', ['RUN --mount=type=$T,id=x x'], 'Dockerfile:2: RUN --mount=type=$T: it cannot be known'],
    ['an agent of ssh', ['RUN --mount=type=ssh x'], 'Dockerfile:2: RUN --mount=type=ssh'],
    ['an image that moves in a second mount', ['RUN --mount=from=golang:1,target=/a --mount=from=alpine,target=/b x'], 'Dockerfile:2: from=alpine'],
    ['an image that moves in quotes', ['RUN --mount=type=bind,"from=alpine" x'], 'Dockerfile:2: from=alpine'],
    ['an image that cannot be known', ['RUN --mount=type=bind,from=$X x'], 'Dockerfile:2: from=$X: it cannot be known which image this is'],
  ])('no RUN gets %s', (_what, lines, message) => {
    expect(() => substituted(ROLE, ...lines)).toThrow(expect.objectContaining({ code: 'build.failed', message: expect.stringContaining(message) }));
  });

  test.each<[string, string[], string]>([
    ['COPY --from by a variable', [ROLE, 'ARG F=alpine', 'COPY --from=$F /a /b'], 'Dockerfile:3: from=$F (alpine): alpine names no version'],
    ['COPY --from that cannot be known', [ROLE, 'COPY --from=$F /a /b'], 'Dockerfile:2: from=$F: it cannot be known which image'],
    ['COPY --from in quotes', [ROLE, 'COPY --fr"om=alp"ine /a /b'], 'Dockerfile:2: from=alpine'],
    ['COPY --from behind another option', [ROLE, 'COPY --chown=1:1 --from=alpine /a /b'], 'Dockerfile:2: from=alpine'],
    ['FROM with a variable that an ARG of a stage seems to set', ['FROM golang:1 AS one', 'ARG T=1', 'FROM golang:${T:-latest} AS two', ROLE], 'Dockerfile:3: FROM golang:latest: the tag latest'],
    ['FROM with quotes in its tag', ['FROM golang:la"test" AS one', ROLE], 'Dockerfile:1: FROM golang:latest: the tag latest'],
    ['FROM with an empty variable', ['FROM golang$V AS one', ROLE], 'Dockerfile:1: FROM golang: golang names no version'],
    ['FROM of what depends on the machine', ['FROM golang:1 AS build-amd64', 'FROM build-$TARGETARCH AS build', ROLE], 'Dockerfile:2: FROM build-arm64: build-arm64 names no version'],
    ['a final FROM by an ARG that a stage sets', ['ARG B=debian:1', 'FROM golang:1 AS one', 'ARG B=projectjackin/construct:a', 'FROM $B'], 'Dockerfile:4: the final FROM is debian:1'],
    ['a final FROM inside the text of a RUN that looks like a list', ['FROM debian:1', 'RUN [ x <<LABEL', ROLE, 'LABEL'], 'Dockerfile:1: the final FROM is debian:1'],
    ['a text behind a list', [ROLE, 'RUN ["a"] <<LABEL', 'x', 'LABEL'], 'Dockerfile:2: some builders take this for a list'],
    ['ADD by an ENV', [ROLE, 'ENV U=https://example.test', 'ADD $U/x /x'], 'Dockerfile:3: ADD https://example.test/x: nothing says'],
    ['ADD by a default', [ROLE, 'ARG U=', 'ADD ${U:-https://example.test}/x /x'], 'Dockerfile:3: ADD https://example.test/x'],
    ['ADD in quotes', [ROLE, 'ADD ht"tps://example.test/x" /x'], 'Dockerfile:2: ADD https://example.test/x'],
    ['ADD in capitals', [ROLE, 'add HTTPS://example.test/x /x'], 'Dockerfile:2: ADD HTTPS://example.test/x'],
    ['ADD of a repository under any user', [ROLE, 'ADD me@example.test:a/b.git /x'], 'Dockerfile:2: ADD me@example.test:a/b.git'],
    ['ADD of what cannot be known', [ROLE, 'ADD $U /x'], 'Dockerfile:2: ADD $U: it cannot be known whether this is a download'],
    ['ADD with a checksum that is no option', [ROLE, `ADD https://example.test/x --checksum=sha256:${'c'.repeat(64)}`], 'Dockerfile:2: ADD https://example.test/x'],
    ['ADD with a checksum that cannot be known', [ROLE, 'ADD --checksum=$S https://example.test/x /x'], 'Dockerfile:2: ADD https://example.test/x'],
    ['ADD of a second source', [ROLE, 'ADD a https://example.test/x /x/'], 'Dockerfile:2: ADD https://example.test/x'],
    ['a frontend in another kind of comment', ['// syntax=evil/frontend:1', ROLE], 'Dockerfile:1: // is not an instruction'],
    ['a frontend in a line of JSON', ['{"syntax":"evil/frontend:1"}', ROLE], 'Dockerfile:1: {"SYNTAX":"EVIL/FRONTEND:1"} is not an instruction'],
  ])('no rule is led past by %s', (_what, lines, message) => {
    expect(() => substituted(...lines)).toThrow(expect.objectContaining({ code: 'build.failed', message: expect.stringContaining(message) }));
  });

  test.each<[string, string[]]>([
    ['versions by ARG', ['ARG NODE=22', 'FROM node:${NODE}-slim AS build', 'ARG NODE', 'RUN echo "$NODE" ${HOME}', ROLE, 'ARG YQ=4.44', 'RUN curl -fsSL https://example.test/yq-$YQ -o /usr/local/bin/yq']],
    ['caches', [ROLE, 'RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=tmpfs,target=/t apt-get update']],
    ['a RUN without a network', [ROLE, 'RUN --network=none --security=sandbox make']],
    ['a mount of an earlier stage', ['FROM golang:1 AS build', ROLE, 'RUN --mount=type=bind,from=build,source=/a,target=/a cp /a /b', 'COPY --from=0 /a /b']],
    ['a stage for each machine', ['FROM golang:1 AS build-amd64', 'FROM golang:2 AS build-arm64', 'FROM build-${TARGETARCH} AS build', ROLE, 'COPY --from=build /a /b']],
    ['another user for a while', [ROLE, 'USER root', 'RUN apt-get update', 'USER agent', 'WORKDIR /home/agent/work', 'COPY --chown=agent:agent --chmod=755 bin/ /usr/local/bin/']],
    ['harmless volumes', [ROLE, 'ARG DATA=/var/lib/x', 'VOLUME $DATA ["/srv"] /homework', 'VOLUME ["/var/lib/y", "/jackins"]']],
    ['shell tests and shifts', [ROLE, 'RUN [ -f /x ] && echo yes || [ 1 ]', 'RUN [ -d /y ] || cat <<EOF > /z', 'text', 'EOF', 'RUN echo $((1<<2)) "<<EOF"']],
    ['a checksum by ARG', [ROLE, `ARG SUM=sha256:${'c'.repeat(64)} URL=https://example.test/x`, 'ADD --checksum=$SUM $URL /x']],
    ['an archive of the role by its version', [ROLE, 'ARG V', 'ADD tools-${V}.tar.gz "/opt dir"', 'ADD ["a b", "/c d"]']],
    ['all that is inert', [ROLE, 'LABEL a="b c" d=e', 'ENV PATH=/opt/bin:$PATH A="x y" B=c\\ d', 'SHELL ["/bin/bash", "-c"]', 'EXPOSE 80', 'STOPSIGNAL SIGINT', 'HEALTHCHECK --interval=5s CMD true', 'ENTRYPOINT ["x"]', 'CMD x']],
  ])('an ordinary Dockerfile passes: %s', (_what, lines) => {
    expect(() => substituted(...lines)).not.toThrow();
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
      { line: 4, end: 5, keyword: 'RUN', rest: 'a &&   b', heredoc: false },
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
