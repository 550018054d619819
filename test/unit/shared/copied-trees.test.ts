/** A tree as it is packed on one side and unpacked on the other, and streams that somebody made up. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, utimesSync, writeFileSync, chmodSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pack, type Pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newTally } from '../../../src/shared/copied.ts';
import { notExposed } from '../../../src/shared/find-place.ts';
import { packTree } from '../../../src/shared/pack-tree.ts';
import { unpackTree } from '../../../src/shared/unpack-tree.ts';

let root: string;
let source: string;
let target: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'jackin-copied-'));
  source = path.join(root, 'source');
  target = path.join(root, 'target');
  mkdirSync(source);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const copy = async (from: string, to: string, name?: string) => {
  const sent = newTally();
  const tar = pack();
  const got = newTally();
  await Promise.all([packTree({ source: from, exposure: notExposed() }, tar, sent), unpackTree(tar, { target: to, name, exposure: notExposed() }, got.copied)]);
  return { sent, got };
};
const put = (name: string, text: string, mode = 0o644) => {
  const file = path.join(source, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
};
const modeOf = (file: string) => lstatSync(file).mode & 0o7777;

describe('a copy', () => {
  it('has the same files, modes, times and inner links, and none of what leads out', async () => {
    put('a', 'text');
    put('sub/run', '#!/bin/sh', 0o4755);
    put('sub/ünï \n', 'odd');
    utimesSync(path.join(source, 'a'), 1_000_000_000, 1_000_000_000);
    symlinkSync('sub/run', path.join(source, 'inner'));
    symlinkSync('/etc/passwd', path.join(source, 'absolute'));
    symlinkSync('../../elsewhere', path.join(source, 'sub/out'));
    chmodSync(path.join(source, 'sub'), 0o555);
    const { sent, got } = await copy(source, target);
    expect(readdirSync(target).sort()).toEqual(['a', 'inner', 'sub']);
    expect(readFileSync(path.join(target, 'sub/ünï \n'), 'utf8')).toBe('odd');
    expect([modeOf(path.join(target, 'sub/run')), modeOf(path.join(target, 'sub'))]).toEqual([0o755, 0o555]);
    expect(lstatSync(path.join(target, 'a')).mtimeMs).toBe(1_000_000_000_000);
    expect(readlinkSync(path.join(target, 'inner'))).toBe('sub/run');
    expect(sent.skipped.named.map(({ path: name, why }) => `${name} ${why}`).sort()).toEqual(['absolute link', 'sub/out link']);
    expect(got.copied).toMatchObject({ files: 3, links: 1 });
    chmodSync(path.join(target, 'sub'), 0o755);
    chmodSync(path.join(source, 'sub'), 0o755);
  });

  it('leaves out a link whose target is no text, instead of changing it', async () => {
    symlinkSync(Buffer.from([0x66, 0xff, 0x67]), path.join(source, 'odd'));
    const { sent } = await copy(source, target);
    expect(sent.skipped.named).toEqual([{ path: 'odd', why: 'name' }]);
    expect(readdirSync(target)).toEqual([]);
  });

  it('goes into a directory that is there, or takes a new name', async () => {
    put('a', 'one');
    await copy(path.join(source, 'a'), target, 'a');
    expect(readFileSync(target, 'utf8')).toBe('one');
    mkdirSync(path.join(root, 'dir'));
    await copy(path.join(source, 'a'), path.join(root, 'dir'), 'a');
    expect(readFileSync(path.join(root, 'dir/a'), 'utf8')).toBe('one');
  });

  it('replaces a link at its place instead of following it, and refuses a directory over a file', async () => {
    put('a', 'new');
    writeFileSync(path.join(root, 'precious'), 'old');
    mkdirSync(target);
    symlinkSync(path.join(root, 'precious'), path.join(target, 'a'));
    await copy(path.join(source, 'a'), target, 'a');
    expect(readFileSync(path.join(root, 'precious'), 'utf8')).toBe('old');
    expect(lstatSync(path.join(target, 'a')).isFile()).toBe(true);
    writeFileSync(path.join(root, 'file'), 'x');
    await expect(copy(source, path.join(root, 'file'))).rejects.toMatchObject({ code: 'conflict' });
  });
});

type Step = (tar: Pack) => void;
type Header = Parameters<Pack['entry']>[0];
const entry = (header: Partial<Header> & { name: string }, content = ''): Step => (tar) => void tar.entry({ mode: 0o644, ...header }, content);
const dir = (name: string): Step => entry({ name, type: 'directory', mode: 0o755 });

const unpack = async (steps: Step[]) => {
  const tar = pack();
  for (const step of steps) step(tar);
  tar.finalize();
  await unpackTree(tar, { target, name: 'tree', exposure: notExposed() }, newTally().copied);
};

describe('a stream that somebody made up', () => {
  beforeEach(() => {
    mkdirSync(path.join(root, 'outside'));
    writeFileSync(path.join(root, 'outside/canary'), 'untouched');
  });

  it.each<[string, Step[]]>([
    ['a name that climbs out', [dir('.'), entry({ name: '../outside/canary' }, 'evil')]],
    ['a name that climbs out later', [dir('.'), entry({ name: 'a/../../outside/canary' }, 'evil')]],
    ['an absolute name', [dir('.'), entry({ name: '/tmp/jackin-evil' }, 'evil')]],
    ['a link out, and a file through it', [dir('.'), entry({ name: 'l', type: 'symlink', linkname: '../outside' }), entry({ name: 'l/canary' }, 'evil')]],
    ['an absolute link', [dir('.'), entry({ name: 'l', type: 'symlink', linkname: '/etc' })]],
    ['a file through a link that stays inside', [dir('.'), dir('d'), entry({ name: 'l', type: 'symlink', linkname: 'd' }), entry({ name: 'l/x' }, 'evil')]],
    ['a hard link', [dir('.'), entry({ name: 'h', type: 'link', linkname: '../outside/canary' })]],
    ['a device', [dir('.'), entry({ name: 'd', type: 'character-device', devmajor: 1, devminor: 3 })]],
    ['a fifo', [dir('.'), entry({ name: 'f', type: 'fifo' })]],
    ['a second root', [dir('.'), dir('.')]],
    ['no root', [entry({ name: 'a' }, 'x')]],
    ['a link as its root', [entry({ name: '.', type: 'symlink', linkname: '/etc' })]],
    ['nothing', []],
  ])('%s is refused, and nothing outside is touched', async (_, steps) => {
    await expect(unpack(steps)).rejects.toThrow(/./);
    expect(readFileSync(path.join(root, 'outside/canary'), 'utf8')).toBe('untouched');
    expect(readdirSync(path.join(root, 'outside'))).toEqual(['canary']);
    expect(existsSync('/tmp/jackin-evil')).toBe(false);
  });

  it('gets no rights for its files that go beyond reading, writing and running', async () => {
    await unpack([dir('.'), entry({ name: 'root', mode: 0o6755 }, 'x')]);
    expect(modeOf(path.join(target, 'root'))).toBe(0o755);
  });

  it('that is cut leaves files that are whole and none that are half', async () => {
    const tar = pack();
    dir('.')(tar);
    entry({ name: 'whole' }, 'whole')(tar);
    entry({ name: 'half' }, 'h'.repeat(100_000))(tar);
    tar.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of tar) chunks.push(chunk as Buffer);
    const cut = Readable.from([Buffer.concat(chunks).subarray(0, 40_000)]);
    await expect(unpackTree(cut, { target, name: 'tree', exposure: notExposed() }, newTally().copied)).rejects.toThrow('cut off');
    expect(readdirSync(target)).toEqual(['whole']);
  });

  it('that goes on for ever is given up', async () => {
    const zeros = Readable.from((function* () {
      for (;;) yield Buffer.alloc(65_536);
    })());
    await expect(unpackTree(zeros, { target, name: 'tree', exposure: notExposed() }, newTally().copied)).rejects.toThrow(/./);
  }, 30_000);
});
