import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { readFolderRole } from '../../../src/roles/find-role.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'jackin-role-hooks-'));
  const made = folder;
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  await writeFile(path.join(folder, 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\n[claude]\n[hooks]\nsetup_once = "once.sh"\nsource = "hooks/env"\n');
  await writeFile(path.join(folder, 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
  await mkdir(path.join(folder, 'hooks'));
  await writeFile(path.join(folder, 'hooks/env'), 'export A=1\n');
  await writeFile(path.join(folder, 'once.sh'), 'true\n');
});

const find = () => readFolderRole(folder);

describe('hooks of a role', () => {
  it('are plain files in its folder', async () => {
    expect((await find()).hooks).toEqual([{ name: 'setup_once', file: 'once.sh' }, { name: 'source', file: 'hooks/env' }]);
  });

  it('change the content of the role', async () => {
    const { contentHash } = await find();
    await writeFile(path.join(folder, 'hooks/env'), 'export A=2\n');
    expect((await find()).contentHash).not.toBe(contentHash);
  });

  it('that are wrong are all told, each with its line', async () => {
    await rm(path.join(folder, 'once.sh'));
    await writeFile(path.join(folder, 'hooks/env'), '');
    await expect(find()).rejects.toMatchObject({
      code: 'config.invalid',
      message: expect.stringMatching(/toml:5:1: hooks\.setup_once: there is no once\.sh in the role\n[\s\S]*toml:6:1: hooks\.source: hooks\/env is empty\n/),
    });
  });

  it('may not be links, nor lie behind one', async () => {
    await rename(path.join(folder, 'once.sh'), path.join(folder, 'other'));
    await symlink('other', path.join(folder, 'once.sh'));
    await expect(find()).rejects.toThrow(/toml:5:1: hooks\.setup_once: once\.sh is a link/);
    await rm(path.join(folder, 'once.sh'));
    await rename(path.join(folder, 'other'), path.join(folder, 'once.sh'));
    await rename(path.join(folder, 'hooks'), path.join(folder, 'real'));
    await symlink('real', path.join(folder, 'hooks'));
    await expect(find()).rejects.toThrow(/toml:6:1: hooks\.source: hooks is a link/);
  });

  it('may not be directories, nor lie below files', async () => {
    await rm(path.join(folder, 'once.sh'));
    await mkdir(path.join(folder, 'once.sh'));
    await rm(path.join(folder, 'hooks'), { recursive: true });
    await writeFile(path.join(folder, 'hooks'), 'x');
    await expect(find()).rejects.toThrow(/once\.sh is not a plain file\n[\s\S]*there is no hooks\/env in the role/);
  });
});
