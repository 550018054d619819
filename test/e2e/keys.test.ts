/**
 * Keys of agents, looked for as another session of the same instance can: in the
 * environment and in the memory of every process that it may read. One instance is
 * one trust domain, so the keys of what runs are there; no other key is.
 */
import { randomBytes } from 'node:crypto';
import { chown, copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import { mask } from '../fakes/scan-memory.mjs';
import { makeWorld } from './world.ts';
import type { World } from './world.ts';

const SCANNER = path.resolve(import.meta.dirname, '../fakes/scan-memory.mjs');
const SLOWLY = { timeout: 60_000, interval: 200 };
/** Nothing answers there: the agents only wait for words. */
const CONFIG = `[claude]
auth_forward = "api_key"
[codex]
auth_forward = "api_key"
[amp]
auth_forward = "api_key"
[github]
auth_forward = "token"
[github.env]
GH_TOKEN = "$CANARY_GITHUB"
[env]
ANTHROPIC_API_KEY = "$CANARY_CLAUDE"
OPENAI_API_KEY = "$CANARY_CODEX"
AMP_API_KEY = "$CANARY_AMP"
OPERATORS = "$CANARY_OPERATOR"
CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = "1"
ANTHROPIC_BASE_URL = "http://nobody.demo:8080"
HTTPS_PROXY = "http://nobody.demo:8080"
`;

const NAMES = ['claude', 'codex', 'amp', 'github', 'operator'] as const;
type Name = (typeof NAMES)[number];
type Found = Name[] | 'refused' | 'gone';

interface Process {
  command: string;
  environment: Found;
  memory: Found;
}

const engine = connectEngine();

let world: World;
let canaries: Record<Name, string>;

beforeEach(async () => {
  world = await makeWorld('keys');
  const canary = (name: Name) => `${name === 'github' ? 'gho_' : 'fake-'}${randomBytes(18).toString('hex')}`;
  canaries = Object.fromEntries(NAMES.map((name) => [name, canary(name)])) as typeof canaries;
  const variables = NAMES.map((name) => [`CANARY_${name.toUpperCase()}`, canaries[name]]);
  Object.assign(world.sandbox.env, Object.fromEntries(variables));
  await world.config(CONFIG);
  await copyFile(SCANNER, path.join(world.sandbox.dirs.project, 'scan-memory.mjs'));
});

afterEach(async () => {
  await world.remove();
});

const succeed = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await world.jackin(args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trim();
};

const scanner = (): string[] => {
  const masks = NAMES.map((name) => mask(canaries[name]));
  return ['/jackin/runtime/bin/node', path.join(world.sandbox.dirs.project, 'scan-memory.mjs'), ...masks];
};

type FoundNumbers = number[] | 'refused' | 'gone';

const readScan = (said: string): Process[] => {
  const named = (found: FoundNumbers): Found =>
    typeof found === 'string' ? found : found.map((number) => NAMES[number]!);
  const all = JSON.parse(said) as { command: string; environment: FoundNumbers; memory: FoundNumbers }[];
  return all.map(({ command, environment, memory }) => ({
    command,
    environment: named(environment),
    memory: named(memory),
  }));
};

/** What a shell beside the agents finds of the canaries, in every process but its own. */
const scan = async (id: string): Promise<Process[]> =>
  readScan(await succeed('hardline', id, '--shell', '--', ...scanner()));

/** The same as root of the engine sees it, who may look into every process: no session can. */
const scanAsRoot = async (): Promise<Process[]> => {
  const [container = ''] = await world.containers();
  const inspected: unknown = await engine.get(`/containers/${container}/json`);
  type Shared = { Binds: string[] | null; Mounts: object[] | null };
  const { Image, HostConfig } = inspected as { Image: string; HostConfig: Shared };
  const [key = '', value] = world.sandbox.label.split('=');
  const { Binds, Mounts } = HostConfig;
  const [Entrypoint, ...Cmd] = scanner();
  const name = `${world.sandbox.id}-root-${randomBytes(4).toString('hex')}`;
  const id = await engine.run(name, {
    Image,
    User: '0:0',
    Entrypoint: [Entrypoint],
    Cmd,
    Labels: { [key]: value },
    HostConfig: { Binds, Mounts, PidMode: `container:${container}`, NetworkMode: 'none', CapAdd: ['SYS_PTRACE'] },
  });
  await engine.post(`/containers/${id}/wait`);
  const { stdout, stderr } = await engine.logs(id);
  await engine.removeContainer(id);
  expect(stderr).toBe('');
  return readScan(stdout);
};

/** Commands of the processes in which a canary was found. */
const holders = (processes: Process[], name: Name): string[] =>
  processes
    .filter(({ environment, memory }) => [environment, memory].some((found) => found.includes(name)))
    .map(({ command }) => command);

const environments = (processes: Process[], program: string): Found[] =>
  processes.filter(({ command }) => command.includes(program)).map(({ environment }) => environment);

/** What was found in the programs through which keys pass, by their names. */
const carriers = (processes: Process[]): Record<string, Omit<Process, 'command'>> =>
  Object.fromEntries(
    processes.flatMap(({ command, ...found }) => {
      const [, name] = /^\/jackin\/runtime\/bin\/node .*\/jackin\/runtime\/capsule\/(\S+)/.exec(command) ?? [];
      return name === undefined ? [] : [[name, found]];
    }),
  );

const load = async (): Promise<string> => {
  const { dirs, network } = world.sandbox;
  const how = ['--agent', 'claude', '--network', network, '--detach', '--no-input'];
  return succeed('load', 'agent-smith', dirs.project, ...how);
};

/** Programs through which keys pass, without the engine's init that started one of them. */
const CARRIERS = '/jackin/runtime/bin/node*/jackin/runtime/capsule/*';
/** Asks them for their debugger, as any process of the same user may. Prints how many were asked, and the answer. */
const ASK_FOR_DEBUGGER = `asked=0
for process in /proc/[0-9]*; do
  case "$(tr '\\0' ' ' < $process/cmdline)" in
    ${CARRIERS}) kill -USR1 "\${process#/proc/}" && asked=$((asked + 1));;
  esac
done
sleep 1
echo "$asked asked"
exec /jackin/runtime/bin/node -e '
  const asked = fetch("http://127.0.0.1:9229/json/list");
  asked.then((answer) => answer.text(), (error) => error.cause.code).then(console.log);
'
`;

/** The owner of the workdir decides who a container runs as. */
const USERS: [string, number][] =
  process.getuid?.() === 0
    ? [
        ['an ordinary user', 1234],
        ['uid 0', 0],
      ]
    : [['the operator', process.getuid?.() ?? 0]];

describe.each(USERS)('in a container that runs as %s', (_, uid) => {
  test('a shell finds the keys of the agents that run, with them, and no other key', async () => {
    await chown(world.sandbox.dirs.project, uid, uid);
    const id = await load();
    const alone = await scan(id);
    const aloneAsRoot = await scanAsRoot();
    await succeed('hardline', id, '--new', '--agent', 'codex', '--detach');
    await expect.poll(async () => environments(await scan(id), 'bin/codex'), SLOWLY).not.toEqual([]);
    const both = await scan(id);
    await succeed('hardline', id, '--end', 'claude-1');
    const after = await scan(id);
    const afterAsRoot = await scanAsRoot();

    // The scanner finds what is there.
    expect(environments(alone, 'agents/claude')).toContainEqual(['claude', 'github', 'operator']);
    for (const seen of [both, after]) {
      expect(environments(seen, 'agents/codex')).toContainEqual(['codex', 'github', 'operator']);
    }
    const refused = { environment: 'refused', memory: 'refused' };
    for (const seen of [alone, both, after]) {
      expect(carriers(seen)).toEqual({ 'capsule.mjs': refused, 'connect.mjs': refused });
      expect(holders(seen, 'amp')).toEqual([]);
    }
    expect(holders(alone, 'codex')).toEqual([]);
    expect(holders(both, 'claude').filter((command) => !command.includes('agents/claude'))).toEqual([]);
    expect(holders(both, 'codex').filter((command) => !command.includes('agents/codex'))).toEqual([]);
    expect(holders(after, 'claude')).toEqual([]);
    // Not hidden but not there: root sees the capsule's memory, and no key that was not sent.
    for (const seen of [aloneAsRoot, afterAsRoot]) {
      expect(carriers(seen)['capsule.mjs']?.memory).toEqual(expect.arrayContaining(['github', 'operator']));
      expect(holders(seen, 'amp')).toEqual([]);
    }
    expect(holders(aloneAsRoot, 'codex')).toEqual([]);
  });

  test('no session gets Node’s debugger of what keys pass through', async () => {
    const { project } = world.sandbox.dirs;
    await chown(project, uid, uid);
    const script = path.join(project, 'ask.sh');
    await writeFile(script, ASK_FOR_DEBUGGER);
    const id = await load();
    expect(await succeed('hardline', id, '--shell', '--', 'sh', script)).toBe('2 asked\nECONNREFUSED');
  });
});
