import { mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packContext } from '../../../src/docker/build-context.ts';
import { contextFiles } from '../../../src/shared/context-files.ts';
import { filesOfTar } from '../../fakes/engine.ts';

let directory: string;
beforeEach(async () => (directory = await mkdtemp(path.join(tmpdir(), 'jackin-context-'))));
afterEach(async () => await rm(directory, { recursive: true }));

const write = async (...names: string[]): Promise<void> => {
  for (const name of names) {
    await mkdir(path.dirname(path.join(directory, name)), { recursive: true });
    await writeFile(path.join(directory, name), name);
  }
};

const ignore = async (name: string, ...lines: string[]): Promise<void> => await writeFile(path.join(directory, name), lines.join('\n'));

const sparse = async (name: string, bytes: number): Promise<void> => {
  const file = await open(path.join(directory, name), 'w');
  await file.truncate(bytes);
  await file.close();
};

const names = async (always: string[] = []): Promise<string[]> => (await contextFiles(directory, 'Dockerfile', always)).map((file) => file.path);

describe('what is sent', () => {
  test('leaves out what .dockerignore names, but not what is kept by an exception below it', async () => {
    await write('Dockerfile', 'node_modules/a/b', 'docs/a.md', 'docs/keep/b.md', 'tool');
    await ignore('.dockerignore', 'node_modules', 'docs', '!docs/keep');
    expect(await names()).toEqual(['.dockerignore', 'Dockerfile', 'docs/keep/b.md', 'tool']);
  });

  test('goes by the file beside the Dockerfile in the first place', async () => {
    await write('Dockerfile', 'a', 'b');
    await ignore('.dockerignore', 'a');
    await ignore('Dockerfile.dockerignore', 'b', '*ignore');
    expect(await names()).toEqual(['Dockerfile', 'a']);
  });

  test('always holds the Dockerfile and what jackin needs', async () => {
    await write('Dockerfile', 'hooks/deep/once.sh', 'hooks/other.sh', 'a');
    await ignore('.dockerignore', '**');
    expect(await names(['./hooks/deep/once.sh'])).toEqual(['Dockerfile', 'hooks/deep/once.sh']);
  });

  test('never holds .git, at any depth and whatever is said, nor the role\'s lock', async () => {
    await write('Dockerfile', '.git/config', 'sub/.git', 'jackin.lock', 'sub/jackin.lock');
    await ignore('.dockerignore', '!.git', '!sub/.git');
    expect(await names()).toEqual(['.dockerignore', 'Dockerfile', 'sub/jackin.lock']);
  });

  test('comes from nowhere else when a directory or a file becomes a link after it was listed', async () => {
    const role = path.join(directory, 'role');
    await write('role/Dockerfile', 'role/sub/key', 'role/sub/same', 'role/z-key', 'outside/key', 'outside/same');
    // The packer waits at this one until somebody reads.
    await sparse('role/a-large', 4 * 1024 * 1024);
    await writeFile(path.join(directory, 'outside/key'), 'CANARY-OF-12');
    await writeFile(path.join(role, 'sub/key'), 'twelve bytes');
    const tar = await packContext(role, { dockerfile: 'Dockerfile', text: 'FROM x' });
    await rename(path.join(role, 'sub'), path.join(directory, 'aside'));
    await symlink(path.join(directory, 'outside'), path.join(role, 'sub'));
    await rm(path.join(role, 'z-key'));
    await symlink(path.join(directory, 'outside/key'), path.join(role, 'z-key'));
    const sent: Buffer[] = [];
    const failed = await (async () => {
      for await (const chunk of tar) sent.push(chunk as Buffer);
    })().catch((error: unknown) => error);
    expect(failed).toMatchObject({ message: expect.stringContaining('sub/key') as string });
    expect(Buffer.concat(sent).includes('CANARY')).toBe(false);
  });

  test('holds no link, but one that is ignored stands in nobody\'s way', async () => {
    await write('Dockerfile');
    await mkdir(path.join(directory, 'bin'));
    await symlink('/etc/passwd', path.join(directory, 'bin/x'));
    await expect(names()).rejects.toMatchObject({ code: 'build.failed', message: expect.stringMatching(/^bin\/x in .* is a link/), hint: expect.stringContaining('.dockerignore') });
    await ignore('.dockerignore', 'bin/x');
    expect(await names()).toEqual(['.dockerignore', 'Dockerfile']);
  });

  test('a .dockerignore that is a link is not followed', async () => {
    await write('Dockerfile');
    await symlink('/etc/passwd', path.join(directory, '.dockerignore'));
    await expect(names()).rejects.toThrow('.dockerignore is a link');
  });

  test('five gigabytes end in a sentence at once, and are no matter when they are ignored', async () => {
    await write('Dockerfile');
    await sparse('model.bin', 5 * 1024 ** 3);
    const started = performance.now();
    await expect(names()).rejects.toMatchObject({
      message: expect.stringContaining('The biggest files: model.bin (5120.0 MiB), Dockerfile'),
      hint: expect.stringContaining('.dockerignore'),
    });
    expect(performance.now() - started).toBeLessThan(1000);
    await ignore('.dockerignore', '*.bin');
    expect(await names()).toEqual(['.dockerignore', 'Dockerfile']);
  });

  test('too many files: the folder with most of them is named', async () => {
    await write('Dockerfile');
    await mkdir(path.join(directory, 'many'));
    for (let index = 0; index <= 20_000; index += 1) await writeFile(path.join(directory, 'many', String(index)), '');
    await expect(names()).rejects.toThrow(/more than 20000 files, most of them \(20000? so far\) in many\//);
  });

  test('the Dockerfile is replaced, however its path is written', async () => {
    await write('sub/Dockerfile', 'a');
    const files = await filesOfTar(await packContext(directory, { dockerfile: './sub/Dockerfile', text: 'another' }));
    expect([...files].map(([name, { content }]) => [name, content.toString()])).toEqual([['a', 'a'], ['sub/Dockerfile', 'another']]);
  });
});
