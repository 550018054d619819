import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runGit } from '../../../src/roles/git.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'jackin-git-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const { signal } = new AbortController();
const env = { PATH: process.env.PATH, HOME: '/nonexistent' };
const fetching = async (url: string, more: Record<string, string> = {}, silenceMs?: number) => {
  await runGit(path.join(dir, 'r.git'), ['init', '--bare', '--quiet'], { env, signal });
  return runGit(path.join(dir, 'r.git'), ['fetch', '--', url, 'HEAD'], { env: { ...env, ...more }, signal, network: true, ...(silenceMs !== undefined && { silenceMs }) });
};

describe('git', () => {
  it('gives a server up that says nothing', async () => {
    const server = createServer((socket) => socket.unref().on('error', () => undefined));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as AddressInfo;
    await expect(fetching(`https://127.0.0.1:${port}/x`, {}, 300)).rejects.toMatchObject({ complaint: 'the server has said nothing for 0.3 seconds' });
    server.close();
  });

  it.each([
    ['ext::sh -c true', "transport 'ext' not allowed"],
    ['git://127.0.0.1/x', "transport 'git' not allowed"],
    ['http://127.0.0.1:9/x', "transport 'http' not allowed"],
  ])('does not follow %s, whatever is asked of it', async (url, complaint) => {
    const settings: Record<string, string>[] = [{}, { GIT_ALLOW_PROTOCOL: 'ext:git:http' }, { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'protocol.allow', GIT_CONFIG_VALUE_0: 'always' }];
    for (const more of settings) {
      await expect(fetching(url, more)).rejects.toMatchObject({ complaint: expect.stringContaining(complaint) as unknown });
    }
  });

  it('says why ssh did not get there', async () => {
    const ssh = path.join(dir, 'ssh');
    await writeFile(ssh, '#!/bin/sh\necho "git@example.test: Permission denied (publickey)." >&2\nexit 255\n', { mode: 0o755 });
    await expect(fetching('ssh://git@example.test/x.git', { GIT_SSH_COMMAND: ssh })).rejects.toMatchObject({ complaint: 'git@example.test: Permission denied (publickey).' });
  });

  it('is told to be missed where there is none', async () => {
    await expect(runGit(dir, ['version'], { env: { PATH: '/nonexistent' }, signal })).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('there is no git') as unknown });
  });
});
