/** Places that a person names, of which an agent may have made a part. */
import fs, { mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newTally } from '../../../src/shared/copied.ts';
import { closeDirectory, entryOf } from '../../../src/shared/directory.ts';
import { type Exposure, findPlace } from '../../../src/shared/find-place.ts';
import { lookAt, packTree } from '../../../src/shared/pack-tree.ts';
import { unpackTree } from '../../../src/shared/unpack-tree.ts';
import { pack } from 'tar-stream';

let root: string;
/** The directory `project` is mounted into an instance. */
let exposure: Exposure;
beforeEach(() => {
  root = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'jackin-place-')));
  for (const dir of ['project/sub/deep', 'elsewhere/inner', 'from']) mkdirSync(at(dir), { recursive: true });
  for (const file of ['elsewhere/key', 'from/f', 'project/sub/f']) writeFileSync(at(file), 'text');
  exposure = { mounts: [{ source: at('project'), instance: 'k7x2m9pq' }], platform: process.platform };
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(root, { recursive: true, force: true });
});

/** Not normalised: `..` after a link is for the code to understand. */
const at = (name: string) => `${root}/${name}`;

/** The directory that is found, or the entry in one, by the path that the system has for it. */
const find = (place: string, where = exposure): string => {
  const found = findPlace(place, where, (end) => end.isDirectory());
  const directory = 'directory' in found ? found.directory : found.parent;
  try {
    return realpathSync('directory' in found ? entryOf(directory, '.') : entryOf(directory, '')) + ('name' in found ? ` ${found.name}` : '');
  } finally {
    closeDirectory(directory);
  }
};

/** A copy of `from` to a place, as `jackin cp` makes it. */
const copyTo = async (target: string, name?: string, where = exposure): Promise<void> => {
  const tar = pack();
  tar.on('error', () => undefined);
  const writing = unpackTree(tar, { target, name, exposure: where }, newTally().copied);
  await Promise.all([packTree({ source: at('from'), exposure: where }, tar, newTally()), writing]);
};

describe('a link that an agent may have made', () => {
  it.each([
    ['is the target', 'project/out', '../elsewhere', 'project/out'],
    ['is above the target', 'project/sub/out', '../../elsewhere', 'project/sub/out/inner'],
    ['leads to a place that stays in the mount', 'project/out', 'sub', 'project/out/deep'],
    ['leads to nothing', 'project/out', '../elsewhere/new', 'project/out'],
    ['is reached through the mount and out of a directory again', 'project/out', '../elsewhere', 'project/sub/../out/inner'],
    ['ends in a slash', 'project/out', '../elsewhere', 'project/out/'],
    ['ends in a point', 'project/out', '../elsewhere', 'project/out/.'],
  ])('is refused when it %s', async (_, link, leadsTo, target) => {
    symlinkSync(leadsTo, at(link));
    const real = path.resolve(path.dirname(at(link)), leadsTo);
    await expect(copyTo(at(target))).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(`${at(link)} is a link to ${real}, and the agent of instance k7x2m9pq can make links there`) as string,
      hint: `if the link is yours, name the real place itself: ${real}`,
    });
    expect([readdirSync(at('elsewhere')), readdirSync(at('project/sub'))]).toEqual([['inner', 'key'], expect.arrayContaining(['deep', 'f'])]);
    expect(readdirSync(at('elsewhere/inner'))).toEqual([]);
  });

  it('is refused as a source, and above one', () => {
    symlinkSync('../elsewhere', at('project/in'));
    symlinkSync('../../elsewhere/key', at('project/sub/key'));
    for (const source of ['project/in', 'project/in/key', 'project/sub/key']) {
      expect(() => lookAt({ source: at(source), exposure })).toThrow('is a link to');
    }
  });

  it('is refused when a link of the operator leads to it', () => {
    symlinkSync(at('project'), at('shortcut'));
    symlinkSync('../elsewhere', at('project/out'));
    expect(() => find(at('shortcut/out'))).toThrow(`${at('project/out')} is a link to ${at('elsewhere')}`);
  });

  it('is replaced and not followed below a target that is none', async () => {
    symlinkSync('../../elsewhere/key', at('project/sub/f2'));
    rmSync(at('from/f'));
    writeFileSync(at('from/f2'), 'new');
    await copyTo(at('project/sub'));
    expect(fs.readFileSync(at('elsewhere/key'), 'utf8')).toBe('text');
    expect(fs.readFileSync(at('project/sub/f2'), 'utf8')).toBe('new');
  });

  it('leads nowhere when it comes in the place of a directory that has been passed', async () => {
    const read = fs.lstatSync.bind(fs) as (place: string, options?: object) => fs.Stats;
    vi.spyOn(fs, 'lstatSync').mockImplementation(((place: string, options?: object) => {
      // The last name is looked up: what is above it has been passed.
      if (place.endsWith('/new') && fs.existsSync(at('project/sub/deep'))) {
        renameSync(at('project/sub'), at('project/aside'));
        symlinkSync(at('elsewhere'), at('project/sub'));
      }
      return read(place, options);
    }) as typeof fs.lstatSync);
    await copyTo(at('project/sub/new'));
    vi.restoreAllMocks();
    expect(readdirSync(at('elsewhere')).sort()).toEqual(['inner', 'key']);
    expect(readdirSync(at('project/aside/new'))).toEqual(['f']);
  });

  it.each(['project', 'project/sub'])('leads nowhere when it comes in the place of %s between a look and the next', async (victim) => {
    const open = fs.openSync.bind(fs);
    let isDone = false;
    vi.spyOn(fs, 'openSync').mockImplementation((place, ...more) => {
      if (!isDone && String(place).endsWith('/sub')) {
        isDone = true;
        renameSync(at(victim), at('aside'));
        symlinkSync(at('elsewhere'), at(victim));
      }
      return open(place, ...more);
    });
    await copyTo(at('project/sub/new')).catch(() => undefined);
    vi.restoreAllMocks();
    expect(isDone).toBe(true);
    expect(readdirSync(at('elsewhere')).sort()).toEqual(['inner', 'key']);
  });
});

describe('other links', () => {
  it('are followed as ever: above a mount, and where there is none', () => {
    symlinkSync('project', at('mine'));
    symlinkSync(at('elsewhere/inner'), at('other'));
    expect(find(at('mine/sub/new'))).toBe(`${at('project/sub')} new`);
    expect(find(at('other'))).toBe(at('elsewhere/inner'));
    expect(find(at('other/..'))).toBe(at('elsewhere'));
    expect(find(at('mine/../elsewhere/./inner/'))).toBe(at('elsewhere/inner'));
  });

  it('are replaced when they lead to a file and to nothing', () => {
    symlinkSync(at('elsewhere/key'), at('to-file'));
    symlinkSync(at('nothing'), at('to-nothing'));
    expect([find(at('to-file')), find(at('to-nothing'))]).toEqual([`${root} to-file`, `${root} to-nothing`]);
  });

  it('that go round end with a word', () => {
    symlinkSync('b', at('a'));
    symlinkSync('a', at('b'));
    expect(() => find(at('a/x'))).toThrow(`${at('a/x')} leads through more than 40 links`);
  });
});

it('says which directory of a path is missing, or is none', () => {
  expect(() => find(at('elsewhere/none/x'))).toThrow(`the directory ${at('elsewhere/none')} does not exist`);
  expect(() => find(at('elsewhere/key/x'))).toThrow(`${at('elsewhere/key/x')} cannot be there`);
});

describe('a system without paths through descriptors', () => {
  const elsewhere = (): Exposure => ({ ...exposure, platform: 'darwin' });

  it.each(['project', 'project/sub', 'project/sub/new', 'project/f'])('takes no target in a mount: %s', async (target) => {
    await expect(copyTo(at(target), undefined, elsewhere())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('this system has no way to hold a directory') as string,
      hint: expect.stringContaining(`name a place outside of ${at('project')}`) as string,
    });
    expect(readdirSync(at('project'))).toEqual(['sub']);
  });

  it('takes no source in a mount', () => {
    for (const source of ['project/sub', 'project/sub/f']) expect(() => lookAt({ source: at(source), exposure: elsewhere() })).toThrow('this system has no way');
  });

  it('copies everywhere else, by names', async () => {
    symlinkSync(at('elsewhere'), at('shortcut'));
    await copyTo(at('shortcut/inner'), 'copy', elsewhere());
    expect(readdirSync(at('elsewhere/inner/copy'))).toEqual(['f']);
    expect(find(at('project/../elsewhere'), elsewhere())).toBe(at('elsewhere'));
  });
});
