import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findEndpoints } from '../../../src/docker/find-endpoint.ts';

let home: string;
beforeEach(async () => (home = await mkdtemp(path.join(tmpdir(), 'jackin-home-'))));
afterEach(async () => await rm(home, { recursive: true }));

const addContext = async (name: string, host: string, tls = false): Promise<void> => {
  const id = createHash('sha256').update(name).digest('hex');
  const meta = path.join(home, '.docker', 'contexts', 'meta', id);
  await mkdir(meta, { recursive: true });
  await writeFile(path.join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }));
  if (tls) await mkdir(path.join(home, '.docker', 'contexts', 'tls', id, 'docker'), { recursive: true });
};

const useContext = async (name: string): Promise<void> => {
  await mkdir(path.join(home, '.docker'), { recursive: true });
  await writeFile(path.join(home, '.docker', 'config.json'), JSON.stringify({ currentContext: name }));
};

const addresses = async (env: Record<string, string>): Promise<string[]> => (await findEndpoints(env)).map(({ address }) => address);

describe('where the engine is looked for', () => {
  test('the usual sockets, the rootless one among them', async () => {
    expect(await addresses({ HOME: home, XDG_RUNTIME_DIR: '/run/user/7' })).toEqual([
      'unix:///var/run/docker.sock',
      'unix:///run/user/7/docker.sock',
      `unix://${home}/.docker/run/docker.sock`,
    ]);
  });

  test('DOCKER_HOST alone, before any context', async () => {
    await addContext('lab', 'unix:///lab.sock');
    await useContext('lab');
    const env = { HOME: home, DOCKER_HOST: 'tcp://[::1]:2399', DOCKER_CONTEXT: 'lab' };
    expect(await findEndpoints(env)).toEqual([{ address: 'tcp://[::1]:2399', origin: 'DOCKER_HOST', target: { host: '::1', port: 2399 } }]);
  });

  test.each([
    ['unix:///a/b.sock', { socketPath: '/a/b.sock' }],
    ['tcp://box', { host: 'box', port: 2375 }],
    ['box:99', { host: 'box', port: 99 }],
    ['http://box:99', { host: 'box', port: 99 }],
  ])('reads %s', async (address, target) => {
    expect((await findEndpoints({ DOCKER_HOST: address }))[0]?.target).toEqual(target);
  });

  test('the current context of the docker client, and DOCKER_CONTEXT before it', async () => {
    await addContext('lab', 'unix:///lab.sock');
    await addContext('other', 'tcp://other:1');
    await useContext('lab');
    expect(await addresses({ HOME: home })).toEqual(['unix:///lab.sock']);
    expect(await addresses({ HOME: home, DOCKER_CONTEXT: 'other' })).toEqual(['tcp://other:1']);
    expect(await addresses({ HOME: '/elsewhere', DOCKER_CONFIG: path.join(home, '.docker') })).toEqual(['unix:///lab.sock']);
    await useContext('default');
    expect(await addresses({ HOME: home })).toContain('unix:///var/run/docker.sock');
  });

  test('a context without an entry, and a broken configuration, are said with the file', async () => {
    await useContext('gone');
    await expect(findEndpoints({ HOME: home })).rejects.toMatchObject({ code: 'engine.unreachable', message: expect.stringMatching(/"gone".*meta\.json/) });
    await writeFile(path.join(home, '.docker', 'config.json'), '{');
    await expect(findEndpoints({ HOME: home })).rejects.toMatchObject({ message: expect.stringContaining('config.json is not valid JSON') });
  });

  test.each([
    ['ssh://me@box', 'ssh'],
    ['tcp://box:2376', 'TLS'],
    ['https://box', 'https:'],
    ['npipe:////./pipe/docker', ''],
    ['fd://', ''],
    ['::', 'not an address'],
  ])('refuses %s', async (address, why) => {
    await expect(findEndpoints({ DOCKER_HOST: address })).rejects.toMatchObject({
      code: 'engine.unreachable',
      message: expect.stringContaining(why),
      hint: expect.stringContaining('DOCKER_HOST'),
    });
  });

  test('refuses TLS that a variable or a context asks for', async () => {
    await expect(findEndpoints({ DOCKER_HOST: 'tcp://box:1', DOCKER_TLS_VERIFY: '1' })).rejects.toThrow('TLS');
    await addContext('secure', 'tcp://box:1', true);
    await expect(findEndpoints({ HOME: home, DOCKER_CONTEXT: 'secure' })).rejects.toThrow('TLS');
  });
});
