import { expect, it } from 'vitest';
import type { InstanceRecord, MadeFor } from '../../../src/instances/record.ts';
import type { PlannedLaunch } from '../../../src/launch/load.ts';
import { madeFor, replayRequest } from '../../../src/launch/replay.ts';
import type { LoadRequest } from '../../../src/plan/request.ts';
import { planOf } from '../plan/world.ts';

const made = (request: Partial<LoadRequest>): MadeFor =>
  madeFor({ plan: planOf(), request: { mounts: [], networks: [], agentArguments: [], login: undefined, ...request } } as unknown as PlannedLaunch);

const again = (madeOf: MadeFor): LoadRequest =>
  replayRequest({ instance_id: 'x', role_key: 'agent-smith', made_for: madeOf } as unknown as InstanceRecord, { agent: undefined, session: { kind: 'attached' }, agentArguments: undefined });

it('starts an instance with the login that its command line named', () => {
  expect(again(made({ login: 'work' })).login).toBe('work');
});

it('leaves it to the configuration where none was named, as in older records', () => {
  expect(made({})).not.toHaveProperty('login');
  expect(again(made({})).login).toBeUndefined();
});
