import { mkdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT_SLUGS, AGENTS } from '../../../src/agents/agents.ts';
import { homeVariables } from '../../../src/capsule/home-variables.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;
let home: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  home = path.join(root, 'home');
  for (const { homes } of Object.values(AGENTS)) for (const dir of homes) await mkdir(path.join(home, dir), { recursive: true });
});

afterEach(() => rm(root, { recursive: true }));

describe.each(AGENT_SLUGS.map((agent) => [agent]))('the directory of %s', (agent) => {
  const { homes, homeVariable } = AGENTS[agent];
  const { name, below, always } = homeVariable;
  /** The value that leads to a directory. */
  const valueFor = (dir: string): string => (below === '' ? dir : path.dirname(dir));
  const durable = (): string => path.join(home, homes[0]);
  const told = (value?: string): Promise<Record<string, string>> => homeVariables(agent, value === undefined ? {} : { [name]: value }, home);
  const usual = (): Record<string, string> => ({ [name]: valueFor(durable()) });

  test('is where the agent looks by itself, or is told', async () => {
    for (const value of [undefined, '']) expect(await told(value)).toEqual(always === undefined ? {} : usual());
  });

  test('is told where the role or the operator leads it astray', async () => {
    for (const value of ['/opt/elsewhere', path.join(home, 'elsewhere'), home, '/', 'relative', '/home/agent/../elsewhere', `${valueFor(durable())}-2`]) {
      expect(await told(value)).toEqual(usual());
    }
  });

  test('is not spoken of where that leads to the same place, however it is written', async () => {
    await symlink(valueFor(durable()), path.join(root, 'link'));
    for (const value of [valueFor(durable()), `${valueFor(durable())}/`, `${valueFor(durable())}/../${path.basename(valueFor(durable()))}`, path.join(root, 'link')]) {
      expect(await told(value)).toEqual({});
    }
  });

  test('is not taken for one behind a link that leads elsewhere', async () => {
    await mkdir(path.join(root, 'elsewhere', below), { recursive: true });
    await symlink(path.join(root, 'elsewhere'), path.join(root, 'link'));
    expect(await told(path.join(root, 'link'))).toEqual(usual());
  });

  test('need not be there yet', async () => {
    await rm(home, { recursive: true });
    expect(await told(valueFor(durable()))).toEqual({});
    expect(await told('/opt/elsewhere')).toEqual(usual());
  });

  test('is not that of another agent', async () => {
    const other = Object.values(AGENTS).find((one) => one.homeVariable.name !== name)!;
    expect(await homeVariables(agent, { [other.homeVariable.name]: '/opt/elsewhere' }, home)).toEqual(always === undefined ? {} : usual());
  });
});

test('what is no agent has none', async () => {
  for (const slug of ['shell', 'constructor', '__proto__', '']) expect(await homeVariables(slug, { CODEX_HOME: '/opt' }, home)).toEqual({});
});
