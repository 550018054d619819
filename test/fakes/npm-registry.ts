import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';

type Entry = Partial<Header> & { name: string; content?: string | Buffer };

export interface FakePackage {
  name: string;
  version: string;
  /** Path inside the package → text. */
  files?: Record<string, string>;
  /** Instead of `files`: tar entries as they stand, however wrong. */
  entries?: Entry[];
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  /** What is served in place of the tarball that the digest was made of. */
  corrupt?: (tarball: Buffer) => Buffer;
  /** Overrides the digest of the manifest. */
  integrity?: string;
  /** Sends this many bytes of the tarball, then nothing until the client leaves. */
  stallAfter?: number;
  /** Sends the whole tarball whatever part of it is asked for, as simple mirrors do. */
  noRanges?: true;
}

const tarball = async ({ files = {}, entries }: FakePackage): Promise<Buffer> => {
  const tar = pack();
  const plain: Entry[] = Object.entries(files).map(([name, content]) => ({ name: `package/${name}`, content }));
  for (const { content = '', ...fields } of entries ?? plain) {
    // Equal packages have equal digests, in whichever process they are made.
    const header = { mtime: new Date(0), ...fields };
    if (header.type !== undefined && header.type !== 'file') tar.entry(header);
    else tar.entry(header, content);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
};

interface Served {
  manifest: object;
  body: Buffer;
  stallAfter: number | undefined;
  noRanges: boolean;
}

/** Answers as the HTTP standard has it, with a part of the body where one is asked for. */
const sendBody = (request: IncomingMessage, response: ServerResponse, { body, noRanges }: Served): void => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  if (first === undefined || noRanges) return void response.setHeader('content-length', body.length).end(body);
  const part = body.subarray(Number(first), Number(last) + 1);
  const range = `bytes ${first}-${Number(first) + part.length - 1}/${body.length}`;
  response.writeHead(part.length === 0 ? 416 : 206, { 'content-range': range, 'content-length': part.length }).end(part);
};

/** One request, to be answered wrongly: `body` is the tarball that is asked for, `time` the how many-th request for this path it is. */
export interface Disturbed {
  path: string;
  time: number;
  request: IncomingMessage;
  response: ServerResponse;
  body: Buffer | undefined;
}

export interface FakeNpmRegistry {
  /** Environment under which npm's libraries use this registry and nothing else. */
  env: Record<string, string>;
  /** Paths that were asked for, in order. */
  requests: string[];
  close: () => Promise<void>;
}

/**
 * A registry on loopback with these packages, and nothing else. The last version of a name is its `latest`.
 * What `disturb` says yes to, it has answered itself.
 */
export const startNpmRegistry = async (packages: FakePackage[], disturb: (disturbed: Disturbed) => boolean = () => false): Promise<FakeNpmRegistry> => {
  const requests: string[] = [];
  const manifests = new Map<string, Map<string, Served>>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    requests.push(path);
    const [, name = '', rest] = /^\/((?:@[^/]+\/)?[^/]+)(?:\/(.*))?$/.exec(path) ?? [];
    const versions = manifests.get(name);
    const file = /^-\/(.*)\.tgz$/.exec(rest ?? '')?.[1];
    const version = rest === 'latest' ? [...(versions?.keys() ?? [])].at(-1) : (file ?? rest);
    const found = versions?.get(version ?? '');
    const time = requests.filter((one) => one === path).length;
    if (disturb({ path, time, request, response, body: file === undefined ? undefined : found?.body })) return;
    const json = (value: unknown): void => void response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    if (versions !== undefined && rest === undefined) {
      json({ name, versions: Object.fromEntries([...versions].map(([key, { manifest }]) => [key, manifest])) });
    } else if (found === undefined) {
      response.writeHead(404).end('{}');
    } else if (file === undefined) {
      json(found.manifest);
    } else if (found.stallAfter !== undefined) {
      response.write(found.body.subarray(0, found.stallAfter));
    } else {
      sendBody(request, response, found);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A test that forgets to close it must not keep its process alive.
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  for (const item of packages) {
    const good = await tarball(item);
    const integrity = item.integrity ?? `sha512-${createHash('sha512').update(good).digest('base64')}`;
    const { name, version, dependencies = {}, optionalDependencies = {} } = item;
    const dist = { tarball: `${url}/${name}/-/${version}.tgz`, integrity };
    const manifest = { name, version, dist, dependencies, optionalDependencies };
    const versions = manifests.get(name) ?? new Map<string, Served>();
    manifests.set(name, versions);
    versions.set(version, { manifest, body: item.corrupt?.(good) ?? good, stallAfter: item.stallAfter, noRanges: item.noRanges ?? false });
  }
  return {
    env: { HOME: '/nonexistent', PATH: '/usr/bin:/bin', npm_config_registry: url, npm_config_userconfig: '/nonexistent/npmrc' },
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
};

/** A small stand-in for the Kimi package with two dependencies that it needs and two that it does not. */
export const kimiPackages = (version = '2.1.0'): FakePackage[] => [
  {
    name: '@moonshot-ai/kimi-code',
    version,
    files: { 'package.json': '{}', 'dist/main.mjs': 'console.log(1)', 'dist-web/index.html': 'web' },
    dependencies: { ws: '^8.18.0', qrcode: '^1.5.0', 'node-pty': '^1.0.0' },
    optionalDependencies: { 'node-pty': '^1.0.0' },
  },
  { name: 'ws', version: '8.1.0', files: { 'index.js': 'old' } },
  { name: 'ws', version: '8.20.0', files: { 'index.js': 'ws' } },
  { name: 'ws', version: '9.0.0', files: { 'index.js': 'too new' } },
  { name: 'qrcode', version: '1.5.4', files: { 'index.js': 'qrcode' }, dependencies: { yargs: '^15.0.0', pngjs: '^5.0.0' } },
  { name: 'pngjs', version: '5.0.0', files: { 'index.js': 'pngjs' } },
];
