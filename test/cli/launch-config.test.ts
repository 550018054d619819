import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

const installation = useInstallation();

let sandbox: Sandbox;
let engine: FakeEngine;

beforeEach(async () => {
  sandbox = await makeSandbox();
  engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
});

const load = (...argv: string[]): Promise<Run> => {
  const { env, deps } = installation();
  return sandbox.run(['load', ...argv], { env, engine, deps });
};

const workspaceText = (extra = '') =>
  `# mine\nversion = "v1alpha6"\nworkdir = "${sandbox.project}" # here\n${extra}mounts = [{ src = "${sandbox.project}", dst = "${sandbox.project}" }]\n`;

describe('a launch in a saved workspace', () => {
  it('writes the role that was used, keeps everything else, and uses it when a load names none', async () => {
    await sandbox.write('config/workspaces/app.toml', workspaceText());
    const first = await load('agent-smith', 'app', '--detach');
    expect(first.stderr).not.toContain('last_role');
    expect(first.code).toBe(0);
    const text = await sandbox.read('config/workspaces/app.toml');
    expect(text).toContain('last_role = "agent-smith"');
    expect(text).toContain('# mine\n');
    expect(text).toContain(' # here\n');
    expect((await load('--dry-run', '--format', 'json')).stdout).toContain('"last_role": null');
    expect((await load('--detach')).code).toBe(0);
    expect(await sandbox.read('config/workspaces/app.toml')).toBe(text);
  });

  it('says beforehand what it will write, and a dry run writes nothing', async () => {
    const file = await sandbox.write('config/workspaces/app.toml', workspaceText().replace('v1alpha6', 'v1alpha3'));
    const { data } = JSON.parse((await load('agent-smith', 'app', '--dry-run', '--format', 'json')).stdout) as { data: { last_role: string; host_effects: object[] } };
    expect(data.last_role).toBe('agent-smith');
    expect(data.host_effects).toContainEqual({ path: file, what: expect.stringContaining('brought from v1alpha3 to the newest version') });
    expect(await sandbox.read('config/workspaces/app.toml')).toContain('v1alpha3');
  });

  it('brings an older file to the newest version, and keeps the text before', async () => {
    const before = workspaceText().replace('v1alpha6', 'v1alpha3');
    await sandbox.write('config/workspaces/app.toml', before);
    const { code, stderr } = await load('agent-smith', 'app', '--detach');
    expect(stderr).toMatch(/app\.toml: brought from v1alpha3 to v1alpha6/);
    expect(code).toBe(0);
    expect(await sandbox.read('config/workspaces/app.toml')).toContain('v1alpha6');
    const [backup = ''] = await readdir(path.join(sandbox.jackinHome, 'backups'));
    expect(await sandbox.read(`jackin/backups/${backup}`)).toBe(before);
  });
});
