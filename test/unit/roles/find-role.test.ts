import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { folderRoleKey, readBuiltInRole, readFolderRole } from '../../../src/roles/find-role.ts';

const packageRoot = path.resolve(import.meta.dirname, '..', '..', '..');
let folder: string;

beforeEach(async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-role-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  folder = path.join(root, 'My Role');
  await mkdir(folder);
  await writeFile(path.join(folder, 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n');
  await writeFile(path.join(folder, 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
});

/** Lets go whoever waits for the other end of a pipe. */
const release = async (pipe: string): Promise<void> => await (await open(pipe, constants.O_RDWR | constants.O_NONBLOCK)).close();

const hash = async () => (await readFolderRole(folder)).contentHash;

describe('roles', () => {
  it('built in: agent-smith, with all five agents', async () => {
    const role = await readBuiltInRole('agent-smith', packageRoot);
    expect(role).toMatchObject({ key: 'agent-smith', source: { kind: 'built-in' }, agents: ['claude', 'codex', 'amp', 'kimi', 'opencode'] });
  });

  it('in a folder: the key is made of its name', async () => {
    expect((await readFolderRole(folder)).key).toBe('my-role');
    expect(folderRoleKey('/x/---')).toBe('role');
  });

  it('whose manifest is a pipe are not waited for', async () => {
    const manifest = path.join(folder, 'jackin.role.toml');
    await rm(manifest);
    execFileSync('mkfifo', [manifest]);
    onTestFinished(() => release(manifest));
    await expect(readFolderRole(folder)).rejects.toMatchObject({ code: 'usage', message: `${manifest} is not a plain file` });
  });

  it('change their hash with a name, a content or an executable bit, and with nothing else', async () => {
    const before = await hash();
    expect(await hash()).toBe(before);
    await mkdir(path.join(folder, '.git'));
    await writeFile(path.join(folder, '.git', 'HEAD'), 'x');
    expect(await hash()).toBe(before);
    await writeFile(path.join(folder, 'run.sh'), '#!/bin/sh\n');
    const added = await hash();
    expect(added).not.toBe(before);
    await chmod(path.join(folder, 'run.sh'), 0o755);
    const executable = await hash();
    expect(executable).not.toBe(added);
    await writeFile(path.join(folder, 'run.sh'), '#!/bin/ls\n');
    expect(await hash()).not.toBe(executable);
  });

  it('hold no links, which could lead out of them', async () => {
    await symlink('/etc/passwd', path.join(folder, 'x'));
    await expect(hash()).rejects.toThrow(/x in .*My Role is a link/);
  });

  it('need a manifest, and a folder', async () => {
    await expect(readFolderRole(path.dirname(folder))).rejects.toThrow(/is not a role: it has no jackin\.role\.toml/);
    await expect(readFolderRole('/no/such')).rejects.toMatchObject({ code: 'not-found' });
  });
});
