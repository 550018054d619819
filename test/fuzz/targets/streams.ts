import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { readExports } from '../../../src/capsule/hook-exports.ts';
import { splitMessage, gatherTrailers } from '../../../src/capsule/commit-message.ts';
import { encodeFrame, encodeJson, frameReader, type Frame } from '../../../src/capsule/frames.ts';
import type { MessageName } from '../../../src/capsule/messages.ts';
import { type CapsuleFailure, FrameType } from '../../../src/capsule/protocol.ts';
import { readAttach, readKill, readLaunch, readSignal, readSize, readSpawn } from '../../../src/capsule/requests.ts';
import { traceReader } from '../../../src/docker/buildkit-trace.ts';
import { readMessage, refused } from '../../../src/docker/capsule-messages.ts';
import { readReport } from '../../../src/docker/copy-tree.ts';
import { substituteConstruct } from '../../../src/docker/dockerfile.ts';
import { directivesOf, parseDockerfile } from '../../../src/docker/dockerfile-parse.ts';
import { DOWNLOAD_LIMITS } from '../../../src/docker/download-limits.ts';
import { createGuard } from '../../../src/docker/guard-output.ts';
import { takeApart } from '../../../src/docker/multiplexed.ts';
import { manifestIn, manifestsIn } from '../../../src/docker/registry.ts';
import { repackTarball, volumeWriter } from '../../../src/docker/repack.ts';
import { whatRuns } from '../../../src/launch/what-runs.ts';
import { newTally } from '../../../src/shared/copied.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { notExposed } from '../../../src/shared/find-place.ts';
import { parseIgnored } from '../../../src/shared/ignore-patterns.ts';
import { unpackTree } from '../../../src/shared/unpack-tree.ts';
import { promise, target, type Target } from '../target.ts';
import { fixtures, scratchDir } from './files.ts';

interface TarEntry {
  name: string;
  type?: 'directory' | 'symlink';
  linkname?: string;
  text?: string;
}

const padded = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(-text.length & 511)]);

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;

/** The block before an entry, in the oldest form that every reader knows. */
const headerOf = ({ name, type, linkname = '', text = '' }: TarEntry): Buffer => {
  const block = Buffer.alloc(512);
  const flag = type === 'directory' ? '5' : type === 'symlink' ? '2' : '0';
  block.write(name);
  block.write(`${octal(type === 'directory' ? 0o755 : 0o644, 7)}${octal(0, 7)}${octal(0, 7)}${octal(text.length, 11)}${octal(0, 11)}        ${flag}${linkname}`, 100);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)} `, 148);
  return block;
};

/** The bytes of a tar with these entries. */
const tarOf = (entries: readonly TarEntry[]): Buffer => Buffer.concat([...entries.flatMap((entry) => [headerOf(entry), padded(entry.text ?? '')]), Buffer.alloc(1024)]);

const TREE = tarOf([
  { name: '.', type: 'directory' },
  { name: 'a', text: 'x' },
  { name: 'sub', type: 'directory' },
  { name: 'sub/b', text: 'y' },
  { name: 'sub/link', type: 'symlink', linkname: '../a' },
]);

const unpack = async (input: Buffer): Promise<void> => {
  const root = scratchDir('unpack');
  const outside = path.join(root, 'outside');
  const place = path.join(root, 'in', 'target');
  rmSync(path.join(root, 'in'), { recursive: true, force: true });
  for (const dir of [outside, path.dirname(place)]) mkdirSync(dir, { recursive: true });
  try {
    await unpackTree(Readable.from([input]), { target: place, name: undefined, exposure: notExposed() }, newTally().copied);
  } finally {
    promise(readdirSync(root).sort().join() === 'in,outside' && readdirSync(outside).length === 0 && readdirSync(path.dirname(place)).every((name) => name === 'target'), 'something was written beside the target');
    if (existsSync(place) && lstatSync(place).isDirectory()) for (const name of readdirSync(place, { recursive: true, encoding: 'utf8' })) promise((lstatSync(path.join(place, name)).mode & 0o7000) === 0, 'a file with a set bit');
  }
};

/** What the two ends of a copy tell a person in their own words: the stream is no tar, or is cut off. */
const isBrokenStream = (error: unknown): boolean => error instanceof JackinError || (error instanceof Error && error.constructor === Error && !('code' in error));

const PACKAGE = tarOf([{ name: 'package/package.json', text: '{}' }, { name: 'package/bin/run.mjs', text: 'x' }]);

const repack = async (input: Buffer): Promise<void> => {
  const tar = pack();
  const names: string[] = [];
  tar.resume();
  const volume = volumeWriter(tar);
  const noting = { file: async (...args: Parameters<typeof volume.file>) => (names.push(args[0]), await volume.file(...args)) };
  await repackTarball('tool@1.0.0', Readable.from([input]), (file) => `node_modules/tool/${file}`, noting, { ...DOWNLOAD_LIMITS, unpackedBytes: 1024 * 1024, entries: 100 });
  promise(names.every((name) => !name.split('/').includes('..') && !/\p{Cc}/u.test(name)), 'a file outside of the package');
};

const LAUNCH = { setup: { workdir: '/w', agents: [{ slug: 'kimi', auth: 'sync' }], hooks: ['source'], git: { github: { mode: 'sync' } } }, session: { agent: 'kimi', argv: ['kimi'], cwd: '/w', io: 'pty', size: { cols: 80, rows: 24 }, env: { A: 'b' }, keys: { kimi: { K: 'v' } } }, detached: false };

const MESSAGES: readonly [MessageName, unknown][] = [
  ['welcome', { protocol: 2, sessions: [{ id: 'a', agent: 'kimi', state: 'running', clients: 0, io: 'pty' }] }],
  ['ready', { logins: [{ slug: 'kimi', outcome: 'same', why: 'x' }], github: 'x' }],
  ['note', { text: 'x' }],
  ['started', { id: 'a', agent: 'kimi', state: 'exited', code: 1, clients: 1, io: 'pipe' }],
  ['sessions', { sessions: [] }],
  ['exited', { id: 'a', code: 3, signal: 'SIGTERM', left: 0 }],
  ['failed', { code: 'busy', message: 'x\ny' }],
];

const readAll = (chunks: readonly Buffer[]): { frames: Frame[]; failed: boolean } => {
  const frames: Frame[] = [];
  const read = frameReader((frame) => frames.push({ type: frame.type, payload: Buffer.from(frame.payload) }));
  try {
    chunks.forEach(read);
    return { frames, failed: false };
  } catch (error) {
    if (error instanceof RangeError) return { frames, failed: true };
    throw error;
  }
};

/** As many chunks as there may be, without an array of a quarter of a million. */
const cut = (input: Buffer): Buffer[] => {
  const size = Math.max(1, Math.ceil(input.length / 500));
  return Array.from({ length: Math.ceil(input.length / size) }, (_each, index) => input.subarray(index * size, (index + 1) * size));
};

const readMessages = (input: Buffer): void => {
  const whole = readAll([input]);
  const pieces = readAll(cut(input));
  promise(whole.failed === pieces.failed && whole.frames.length === pieces.frames.length && whole.frames.every(({ payload }, at) => payload.equals(pieces.frames[at]!.payload)), 'frames depend on where the stream is cut');
  for (const frame of whole.frames) for (const [name] of MESSAGES) if (FrameType[name] === frame.type) hear(frame, name);
};

const hear = (frame: Frame, name: MessageName): void => {
  let said: unknown;
  try {
    said = readMessage(name, frame);
  } catch (error) {
    promise(error instanceof SyntaxError || (error instanceof Error && error.message.startsWith('it says something malformed')), `an error of another kind: ${String(error)}`);
    return;
  }
  // oxlint-disable-next-line no-control-regex
  promise(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(JSON.stringify(said).replaceAll('\\n', '')), 'control characters reach a person');
  if (frame.type === FrameType.failed) refused(said as CapsuleFailure, 'eject it');
};

const isRefusal = (error: unknown): boolean => error instanceof SyntaxError || (error instanceof TypeError && / is no| has a name/.test(error.message));

/** Each of them takes it or refuses it in its own words. */
const readRequests = (input: Buffer): void => {
  const frame: Frame = { type: 1, payload: input };
  for (const read of [readLaunch, readSpawn, readKill, readAttach, readSize, readSignal]) {
    try {
      read(frame);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const { message } = error as Error;
      promise(!message.includes('SECRET'), 'a refusal quotes the request');
    }
  }
};

/** Twice through the guard is once, and where the stream is cut makes no difference. */
const guard = (input: Buffer): void => {
  const through = (chunks: readonly Buffer[]): Buffer => {
    const one = createGuard({ allowClipboard: false });
    return Buffer.concat(chunks.map((chunk) => one.push(chunk)));
  };
  const passed = through([input]);
  promise(passed.equals(through(cut(input))), 'what passes depends on where the stream is cut');
  promise(passed.equals(through([passed])), 'what has passed would not pass again');
  const text = passed.toString('latin1');
  // oxlint-disable-next-line no-control-regex
  promise(!/\u001b\]52;|\u001b\[5i|\u001b_G|\u001bX|\u001b\^|[\u0000-\u0006\u0010-\u001a]/.test(text), 'a sequence that no policy lets pass');
};

const DOCKERFILES = [
  '# syntax=docker/dockerfile:1\nFROM projectjackin/construct:trixie\nARG A=1\nRUN apt-get update && \\\n    apt-get install -y git\nRUN <<EOF\necho "x"\nEOF\nCOPY --chown=agent a b\nENV A=b C="d e"\nUSER agent\nVOLUME /data\n',
  'FROM debian:13 AS build\nRUN --mount=type=cache,target=/x make\nFROM projectjackin/construct:trixie\nCOPY --from=build /a /b\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 https://x/y /z\n',
  '# escape=`\nFROM projectjackin/construct:trixie\nRUN a `\n b\nCMD ["a", "b"]\nHEALTHCHECK NONE\nONBUILD RUN x\n',
];

let manifest: string | undefined;
const everything = (): string => (manifest ??= fixtures('roles', (file) => file.startsWith('valid/everything') && file.endsWith('jackin.role.toml'))[0]!);

const IGNORED_PATHS = ['a', 'a/b', 'a/b/c.txt', '.git/config', 'node_modules/x/y/z.js', 'a'.repeat(200), 'ü/é', 'a b', '[x]', 'deep/'.repeat(30) + 'x'];

const NPM = { name: '@a/tool', version: '1.2.3', dist: { tarball: 'https://registry.example.test/a.tgz', integrity: 'sha512-AAAA' }, dependencies: { b: '^1.0.0' }, optionalDependencies: {} };

const TRACE = Buffer.from([0x0a, 0x17, 0x0a, 0x01, 0x78, 0x1a, 0x0e, ...Buffer.from('[2/5] RUN make'), 0x2a, 0x02, 0x08, 0x01, 0x1a, 0x06, 0x22, 0x04, ...Buffer.from('hi\nx')]);

const multiplexed = (stream: number, text: string): Buffer => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

const pieces = async (chunks: readonly Buffer[]): Promise<string> => {
  const out: Buffer[] = [];
  const error: Buffer[] = [];
  for await (const { isError, bytes } of takeApart(Readable.from(chunks))) (isError ? error : out).push(bytes);
  return `${Buffer.concat(out).toString('latin1')}|${Buffer.concat(error).toString('latin1')}`;
};

export const STREAM_TARGETS: readonly Target[] = [
  target({ name: 'tree', count: 200, covers: ['src/shared/unpack-tree.ts', 'src/shared/copied.ts'], form: 'bytes', seeds: () => [TREE, tarOf([{ name: '.', text: 'one file' }])], allows: isBrokenStream, run: unpack }),
  target({ name: 'tarball', count: 500, covers: ['src/docker/repack.ts'], form: 'bytes', seeds: () => [PACKAGE, tarOf([{ name: 'package/a', type: 'symlink', linkname: 'b' }])], run: (input) => repack(gzipSync(input, { level: 1 })) }),
  target({
    name: 'gzip',
    count: 100,
    covers: ['src/docker/repack.ts'],
    form: 'bytes',
    seeds: () => [gzipSync(PACKAGE), gzipSync(Buffer.alloc(4 * 1024 * 1024))],
    run: async (input) => {
      await repack(input);
      promise(gunzipSync(input).length >= 1024, 'a package of nothing');
    },
  }),
  target({ name: 'capsule-messages', covers: ['src/capsule/frames.ts', 'src/docker/capsule-messages.ts', 'src/docker/capsule-client.ts'], form: 'bytes', seeds: () => [...MESSAGES.map(([name, value]) => encodeJson(FrameType[name], value)), Buffer.concat([encodeFrame(FrameType.output, Buffer.from('abc')), encodeJson(FrameType.note, { text: 'x' })])], allows: () => false, run: readMessages }),
  ...MESSAGES.map(([name, value]) => target({ name: `message-${name}`, covers: ['src/capsule/messages.ts', 'src/docker/capsule-messages.ts'], form: 'json' as const, seeds: () => [JSON.stringify(value)], allows: () => false, run: (input) => hear({ type: FrameType[name], payload: input }, name) })),
  target({
    name: 'capsule-requests',
    covers: ['src/capsule/requests.ts', 'src/capsule/connection.ts'],
    form: 'json',
    seeds: () => [LAUNCH, { session: LAUNCH.session, detached: true, fresh: { setup: LAUNCH.setup, env: { SECRET: 'SECRET' }, keys: {} } }, { session: 's' }, { session: 's', size: { cols: 1, rows: 1 } }, { cols: 80, rows: 24 }, { signal: 'SIGINT' }].map((value) => JSON.stringify(value)),
    allows: () => false,
    run: readRequests,
  }),
  target({
    name: 'copy-report',
    covers: ['src/docker/copy-tree.ts'],
    form: 'json',
    seeds: () => [JSON.stringify({ copied: { files: 1, directories: 1, links: 0, bytes: 3 }, skipped: { total: 1, named: [{ path: 'a', why: 'link' }] }, failed: { code: 'failed', message: 'x' } })],
    allows: () => false,
    run: (input) => {
      const report = readReport(input.toString('utf8'));
      if (report?.failed) promise(!/[\u001b\u009b]/.test(report.failed.message), 'a message with a sequence for a terminal');
    },
  }),
  target({
    name: 'Dockerfile',
    covers: ['src/docker/dockerfile-parse.ts', 'src/docker/dockerfile-words.ts', 'src/docker/dockerfile-variables.ts', 'src/docker/dockerfile-rules.ts', 'src/docker/dockerfile.ts', 'src/launch/what-runs.ts'],
    form: 'lines',
    seeds: () => DOCKERFILES,
    run: async (input) => {
      const text = input.toString('utf8');
      directivesOf(text);
      const found = parseDockerfile(text, 'Dockerfile');
      promise(found.every(({ line, end }, at) => line <= end && line > (found[at - 1]?.end ?? 0)), 'instructions that overlap');
      promise(substituteConstruct(text, 'Dockerfile', 'example.test/construct@sha256:x').includes('example.test/construct@sha256:x'), 'an image without the construct');
    },
  }),
  target({
    name: 'what-runs',
    count: 500,
    covers: ['src/launch/what-runs.ts'],
    form: 'lines',
    seeds: () => DOCKERFILES,
    run: async (input) => {
      const runs = await whatRuns({ manifest: everything(), read: async () => input.toString('utf8') });
      for (const name of IGNORED_PATHS) runs(name);
    },
  }),
  target({
    name: '.dockerignore',
    count: 400,
    covers: ['src/shared/ignore-patterns.ts'],
    form: 'lines',
    seeds: () => ['node_modules\n!node_modules/x\n**/*.log\n# comment\n[a-z]?*.txt\n/abs\n', '*******a\n!**\n\\[x\\]\n'],
    run: (input) => {
      const { ignores } = parseIgnored(input.subarray(0, 8192).toString('utf8'), '.dockerignore');
      for (const name of IGNORED_PATHS) ignores(name);
    },
  }),
  target({
    name: 'npm-manifest',
    covers: ['src/docker/registry.ts'],
    form: 'json',
    seeds: () => [JSON.stringify(NPM)],
    run: (input) => {
      const { name, version, dist } = manifestIn('tool', answer(input));
      promise(!name.split('/').includes('..') && !/[/\\\s]/.test(version) && /^https?:/i.test(dist.tarball) && /^[\x20-\x7e]+$/.test(dist.integrity), 'a name that leaves its folder');
    },
  }),
  target({ name: 'npm-packument', covers: ['src/docker/registry.ts'], form: 'json', seeds: () => [JSON.stringify({ name: 'tool', versions: { '1.2.3': NPM, '2.0.0': {} } })], allows: () => false, run: (input) => manifestsIn(answer(input)) }),
  target({
    name: 'terminal-output',
    covers: ['src/docker/guard-output.ts', 'src/docker/guard-policy.ts'],
    form: 'text',
    seeds: () => ['plain ünï\r\n\u001b[31;1mred\u001b[0m\u001b]0;title\u0007\u001b]8;;https://x\u0007y\u001b]8;;\u0007', '\u001b]52;c;AAAA\u0007\u001bPtmux;\u001b\u001b]52;c;AA\u0007\u001b\\\u001b[5i\u001b_Gt=f;AA\u001b\\', '\u001b[?1049h\u001bP$qm\u001b\\\u001b]10;?\u0007\u001bXx\u001b\\\u001b^y\u001b\\\u0005'],
    allows: () => false,
    run: guard,
  }),
  target({ name: 'build-trace', covers: ['src/docker/buildkit-trace.ts'], form: 'bytes', seeds: () => [TRACE], allows: () => false, run: (input) => { const reader = traceReader(() => undefined); reader.take(input.toString('base64')); reader.end(); } }),
  target({
    name: 'engine-stream',
    covers: ['src/docker/multiplexed.ts'],
    form: 'bytes',
    seeds: () => [Buffer.concat([multiplexed(1, 'out'), multiplexed(2, 'error')])],
    allows: () => false,
    run: async (input) => promise((await pieces([input])) === (await pieces(cut(input))), 'the pieces depend on where the stream is cut'),
  }),
  target({ name: 'hook-exports', covers: ['src/capsule/hook-exports.ts'], form: 'bytes', seeds: () => [Buffer.from('A=b\0C=d e\nf\0jackin-end\0')], allows: () => false, run: (input) => readExports(input) }),
  target({
    name: 'commit-message',
    covers: ['src/capsule/commit-message.ts'],
    form: 'lines',
    seeds: () => ['subject\n\nbody\n\nCo-authored-by: A <a@b>\nSigned-off-by: C <c@d>\n# comment\n# ------------------------ >8 ------------------------\ndiff\n'],
    allows: () => false,
    run: (input) => {
      for (const cleanup of ['default', 'scissors', 'verbatim', 'strip', 'whitespace'] as const) splitMessage(input.toString('latin1'), { commentChar: '#', cleanup, edited: true });
      gatherTrailers(input.toString('latin1').split('\n'), ['Co-authored-by: A <a@b>'], ['Signed-off-by: C <c@d>']);
    },
  }),
];

/** A client of the registry hands on what is JSON. */
const answer = (input: Buffer): unknown => {
  try {
    return JSON.parse(input.toString('utf8'));
  } catch {
    return undefined;
  }
};
