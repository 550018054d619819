import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { ContainerSpec } from '../../src/docker/engine.ts';
import { writeRecord } from '../../src/instances/record.ts';
import type { FakeEngine } from '../fakes/engine.ts';
import type { Sandbox } from './run.ts';

export const HOME_ID = 'home-1';

export interface Wanted {
  id: string;
  role?: string;
  home?: string;
  /** Whether the engine still has its container. */
  container?: boolean;
  running?: boolean;
}

/** An instance of a sandbox whose home id is {@link HOME_ID}, as a launch leaves it; the name of its container. */
export const addInstance = async (engine: FakeEngine, sandbox: Sandbox, wanted: Wanted): Promise<string> => {
  const { id, role = 'agent-smith', home = HOME_ID, container = true, running = true } = wanted;
  const name = `jk-${id}-x`;
  const labels = { 'jackin.managed': 'true', 'jackin.kind': 'role', 'jackin.class': role, 'jackin.instance': id, 'jackin.home': home, 'jackin.workspace': '' };
  if (container) {
    await engine.createNetwork({ name: `${name}-net`, labels, subnet: `10.9.${id[0]}.0/28` });
    const spec: ContainerSpec = {
      name, hostname: name, image: 'image', argv: ['x'], user: '0:0', workdir: '/', env: [], labels, mounts: [], tmpfs: {},
      network: `${name}-net`, init: true, capDrop: [], noNewPrivileges: true, pidsLimit: 10,
    }; // prettier-ignore
    await engine.createContainer(spec);
    if (running) await engine.startContainer(name);
  }
  if (home !== HOME_ID) return name;
  for (const folder of ['home', '.jackin']) await mkdir(path.join(sandbox.jackinHome, 'data', name, folder), { recursive: true, mode: 0o700 });
  await writeRecord(path.join(sandbox.jackinHome, 'data'), {
    version: 2, instance_id: id, container: name, network: `${name}-net`, created_at: `2026-11-21T0${id[0]}:00:00Z`, updated_at: '2026-11-21T00:00:00Z',
    workspace_name: null, workdir: '/x', role_key: role, role_content: 'c', agent: 'kimi', agent_version: '2.1.0', supported_agents: ['kimi'],
    image_tag: 'image', status: 'running',
  }); // prettier-ignore
  return name;
};
