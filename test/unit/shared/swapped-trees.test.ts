/** Trees of which an agent exchanges directories for links while they are written or read. */
import fs, { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { extract, pack, type Pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newTally } from '../../../src/shared/copied.ts';
import { notExposed } from '../../../src/shared/find-place.ts';
import { packTree } from '../../../src/shared/pack-tree.ts';
import { unpackTree } from '../../../src/shared/unpack-tree.ts';
import { fingerprintOf } from '../../fixtures/kimi/tree.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'jackin-swapped-'));
  for (const dir of ['target', 'source', 'outside/a/b', 'outside/b', 'aside']) mkdirSync(at(dir), { recursive: true });
  for (const name of ['outside/a/f', 'outside/a/b/f', 'outside/f']) writeFileSync(at(name), 'CANARY', { mode: 0o640 });
  chmodSync(at('outside/a'), 0o750);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(root, { recursive: true, force: true });
});

const at = (name: string) => path.join(root, name);

type Entry = [name: string, content?: string];
type Header = Parameters<Pack['entry']>[0];

const END_BYTES = 1024;

/** An entry with a content is a file, one without a directory. Without what ends a stream. */
const bytesOf = async ([name, content]: Entry): Promise<Buffer> => {
  const tar = pack();
  const header: Header = { name, type: content === undefined ? 'directory' : 'file', mode: content === undefined ? 0o755 : 0o644, mtime: new Date(1_000_000_000_000) };
  tar.entry(header, content ?? '');
  tar.finalize();
  return (await buffer(tar)).subarray(0, -END_BYTES);
};

/** Unpacks the entries one by one; `between` is called when each of them is in its place. */
const unpack = async (entries: Entry[], between: (index: number) => void): Promise<unknown> => {
  const { copied } = newTally();
  const over = new AbortController();
  const source = async function* () {
    for (const [index, entry] of entries.entries()) {
      yield await bytesOf(entry);
      while (copied.files + copied.directories <= index && !over.signal.aborted) await tick();
      between(index);
    }
    yield Buffer.alloc(END_BYTES);
  };
  const result = await unpackTree(source(), { target: at('target'), name: undefined, exposure: notExposed() }, copied).then(() => undefined, (error: unknown) => error);
  over.abort();
  return result;
};

/** As an agent does it: what was there is still there, under another name. */
let asides = 0;
const exchange = (name: string, target: string): void => {
  asides += 1;
  if (existsSync(at(name))) renameSync(at(name), at(`aside/${asides}`));
  symlinkSync(target, at(name));
};

describe('a tree that is written', () => {
  it('goes nowhere else when a directory becomes a link between two entries', async () => {
    const before = await fingerprintOf(at('outside'));
    const entries: Entry[] = [['.'], ['a'], ['a/first', '1'], ['a/authorized_keys', '2'], ['a/b'], ['a/b/f', '3'], ['last', '4']];
    await unpack(entries, (index) => index === 2 && exchange('target/a', at('outside/a')));
    expect(await fingerprintOf(at('outside'))).toEqual(before);
    expect(readdirSync(at('target')).sort()).toEqual(['a', 'last']);
    expect(readdirSync(at(`aside/${asides}`)).sort()).toEqual(['authorized_keys', 'b', 'first']);
  });

  it('gives its modes and times to no other directory', async () => {
    const before = lstatSync(at('outside/a'));
    await unpack([['.'], ['a'], ['a/b'], ['a/b/f', '3']], (index) => index === 3 && exchange('target/a', at('outside/a')));
    const after = lstatSync(at('outside/a'));
    expect([after.mode, after.mtimeMs, after.ctimeMs]).toEqual([before.mode, before.mtimeMs, before.ctimeMs]);
    expect(lstatSync(at(`aside/${asides}`)).mode & 0o777).toBe(0o755);
  });

  it('goes nowhere else when the target itself becomes a link', async () => {
    const before = await fingerprintOf(at('outside'));
    await unpack([['.'], ['a'], ['a/f', '1'], ['f', '2']], (index) => index === 0 && exchange('target', at('outside')));
    expect(await fingerprintOf(at('outside'))).toEqual(before);
    expect(readFileSync(at(`aside/${asides}/a/f`), 'utf8')).toBe('1');
  });

  it('is given up when a directory becomes a link before it is entered', async () => {
    const before = await fingerprintOf(at('outside'));
    const make = fs.mkdirSync.bind(fs);
    vi.spyOn(fs, 'mkdirSync').mockImplementation((...args) => {
      const made = make(...args);
      exchange('target/a', at('outside/a'));
      return made;
    });
    expect(await unpack([['.'], ['a'], ['a/f', '1']], () => undefined)).toMatchObject({ code: 'conflict', message: expect.stringContaining(`${at('target/a')} was exchanged`) as string });
    expect(await fingerprintOf(at('outside'))).toEqual(before);
  });

  it('is given up when a directory that was there becomes another one before it is entered', async () => {
    mkdirSync(at('target/a'));
    mkdirSync(at('other'));
    const look = fs.lstatSync.bind(fs) as (place: string, options?: object) => fs.Stats;
    vi.spyOn(fs, 'lstatSync').mockImplementation(((place: string, options?: object) => {
      const seen = look(place, options);
      if (place.endsWith('/a') && existsSync(at('other'))) {
        renameSync(at('target/a'), at('aside/a'));
        renameSync(at('other'), at('target/a'));
      }
      return seen;
    }) as typeof fs.lstatSync);
    expect(await unpack([['.'], ['a'], ['a/f', '1']], () => undefined)).toMatchObject({ code: 'conflict' });
    vi.restoreAllMocks();
    expect([readdirSync(at('target/a')), readdirSync(at('aside/a'))]).toEqual([[], []]);
  });

  const name = fc.constantFrom('a', 'b', 'f');
  const step = fc.record({ path: fc.array(name, { minLength: 1, maxLength: 3 }), isFile: fc.boolean() });
  const swap = fc.record({ path: fc.array(name, { maxLength: 3 }), to: fc.constantFrom('outside', 'outside/a', 'outside/a/b', 'outside/f', 'aside', undefined) });

  /** A stream in which every directory comes before what is in it, as a copy's is. */
  const streamOf = (steps: { path: string[]; isFile: boolean }[]): Entry[] => {
    const tree = new Map<string, Entry>();
    for (const { path: parts, isFile } of steps) {
      parts.forEach((_part, index) => {
        const below = parts.slice(0, index + 1).join('/');
        if (!tree.has(below)) tree.set(below, isFile && index === parts.length - 1 ? [below, 'written'] : [below]);
      });
    }
    const isInDirectory = (below: string): boolean => {
      const parent = below.slice(0, Math.max(0, below.lastIndexOf('/')));
      return parent === '' || (tree.get(parent)?.length === 1 && isInDirectory(parent));
    };
    return [['.'], ...[...tree.values()].filter(([below]) => isInDirectory(below)).sort(([a], [b]) => (a < b ? -1 : 1))];
  };

  /** What of the target has the name, or the target; a directory goes aside, and a link or nothing comes. */
  const attack = ({ path: parts, to }: { path: string[]; to: string | undefined }): void => {
    const victim = ['target', ...parts].join('/');
    try {
      // The agent itself gets nowhere through a link that it has made.
      if (realpathSync(path.dirname(at(victim))).startsWith(realpathSync(at('outside')))) return;
      asides += 1;
      renameSync(at(victim), at(`aside/${asides}`));
      if (to !== undefined) symlinkSync(at(to), at(victim));
    } catch {
      // There is no such thing to exchange.
    }
  };

  it('writes nothing outside, whatever is exchanged at whatever moment', async () => {
    const before = await fingerprintOf(at('outside'));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.array(swap, { minLength: 1, maxLength: 12 }), async (steps, swaps) => {
        rmSync(at('target'), { recursive: true, force: true });
        rmSync(at('aside'), { recursive: true, force: true });
        for (const dir of ['target', 'aside']) mkdirSync(at(dir));
        await unpack(streamOf(steps), (index) => swaps[index] && attack(swaps[index]));
        expect(await fingerprintOf(at('outside'))).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });
});

/** What comes out of a pack while `onEntry` is called before each of its entries is sent. */
const packed = async (onEntry: (name: string) => void): Promise<{ content: Map<string, string>; error: unknown }> => {
  const tar = pack();
  const send = tar.entry.bind(tar) as (...args: unknown[]) => unknown;
  tar.entry = ((header: Header, ...more: unknown[]) => {
    onEntry(header.name);
    return send(header, ...more);
  }) as typeof tar.entry;
  tar.on('error', () => undefined);
  const content = new Map<string, string>();
  const entries = extract();
  tar.pipe(entries, () => undefined);
  const read = (async () => {
    for await (const entry of entries) content.set(entry.header.name, await text(entry));
  })().catch(() => undefined);
  const error = await packTree({ source: at('source'), exposure: notExposed() }, tar, newTally()).then(() => undefined, (failed: unknown) => failed);
  await read;
  return { content, error };
};

describe('a tree that is read', () => {
  beforeEach(() => {
    mkdirSync(at('source/a/b'), { recursive: true });
    for (const name of ['a/f', 'a/b/f', 'f']) writeFileSync(at(`source/${name}`), 'mine');
  });

  it.each([
    ['.', 'source'],
    ['a', 'source/a'],
    ['a/b', 'source/a/b'],
    ['a/b', 'source/a'],
  ])('brings nothing from elsewhere when, as %s is sent, %s becomes a link', async (moment, victim) => {
    const { content } = await packed((name) => name === moment && exchange(victim, at(victim.replace('source', 'outside'))));
    expect([...content.values()]).not.toContain('CANARY');
    expect([...content.keys()]).toContain(moment);
  });

  it('says which directory was exchanged before it was entered', async () => {
    const { content, error } = await packed((name) => name === '.' && exchange('source/a', at('outside/a')));
    expect(error).toBeUndefined();
    expect([...content.values()]).not.toContain('CANARY');
    const look = fs.openSync.bind(fs);
    rmSync(at('source/a'));
    mkdirSync(at('source/a'));
    vi.spyOn(fs, 'openSync').mockImplementation((place, ...more) => {
      if (String(place).endsWith('/a')) exchange('source/a', at('outside/a'));
      return look(place, ...more);
    });
    expect((await packed(() => undefined)).error).toMatchObject({ code: 'failed', message: expect.stringContaining(`${at('source/a')} was exchanged`) as string });
  });
});

const descriptors = (): number => readdirSync('/proc/self/fd').length;

describe('a deep tree', () => {
  const deep = (levels: number): string => Array.from({ length: levels }, () => 'd').join('/');
  const copy = async () => {
    const tar = pack();
    const { copied } = newTally();
    const sides = [packTree({ source: at('source'), exposure: notExposed() }, tar, newTally()), unpackTree(tar, { target: at('target'), name: undefined, exposure: notExposed() }, copied)];
    const failed = (await Promise.allSettled(sides)).flatMap((side) => (side.status === 'rejected' ? [side.reason as Error] : []));
    return { copied, failed };
  };

  it('of 500 levels is copied whole, and every directory is let go', async () => {
    mkdirSync(at(`source/${deep(500)}`), { recursive: true });
    writeFileSync(at(`source/${deep(500)}/f`), 'deep');
    const before = descriptors();
    expect(await copy()).toMatchObject({ copied: { files: 1, directories: 501 }, failed: [] });
    expect(descriptors()).toBe(before);
    expect(readFileSync(at(`target/${deep(500)}/f`), 'utf8')).toBe('deep');
  });

  it.each(['source', 'target'])('for which the system has not enough descriptors on the side of the %s says so, and lets go of all', async (side) => {
    mkdirSync(at(`source/${deep(100)}`), { recursive: true });
    const before = descriptors();
    const open = fs.openSync.bind(fs);
    const levels = new Map<boolean, number>();
    vi.spyOn(fs, 'openSync').mockImplementation((place, ...more) => {
      const isTarget = !existsSync(at(`source/${deep(1)}`)) || !String(place).endsWith('/d') ? false : fs.readlinkSync(path.dirname(String(place))).startsWith(at('target'));
      const level = (levels.get(isTarget) ?? 0) + 1;
      if (String(place).endsWith('/d')) levels.set(isTarget, level);
      if (String(place).endsWith('/d') && isTarget === (side === 'target') && level > 40) throw Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE', syscall: 'open' });
      return open(place, ...more);
    });
    const { failed } = await copy();
    vi.restoreAllMocks();
    expect(failed.map(({ message }) => message)).toContainEqual(expect.stringMatching(new RegExp(`^${at(side)} has too many levels: at level 4[01] the system allows no more`)));
    expect(descriptors()).toBe(before);
  });
});

it('lets go of every directory when the stream is refused or cut', async () => {
  const before = descriptors();
  expect(await unpack([['.'], ['a'], ['a/b'], ['a/b/f', '1'], ['../f', '2']], () => undefined)).toMatchObject({ code: 'failed' });
  const cut = async function* () {
    yield Buffer.concat(await Promise.all([bytesOf(['.']), bytesOf(['a']), bytesOf(['a/f', 'x'.repeat(5000)])])).subarray(0, 3000);
  };
  await expect(unpackTree(cut(), { target: at('target'), name: undefined, exposure: notExposed() }, newTally().copied)).rejects.toThrow('cut off');
  expect(descriptors()).toBe(before);
});
