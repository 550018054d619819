import { test } from 'vitest';
import { connectEngine } from '../../src/docker/docker-engine.ts';
import { ensureConstruct } from '../../src/docker/construct.ts';
import { ensureAgentVolume, ensureRuntimeVolume } from '../../src/docker/volumes.ts';
import { ensureRoleImage, roleImageTag } from '../../src/docker/role-image.ts';
import { currentOwner } from '../../src/shared/owner.ts';
import { mkdirSync, writeFileSync } from 'node:fs';
test('try', async () => {
  const engine = await connectEngine(process.env);
  const log = { onLine: (l: string) => console.log(Date.now() - t, l) };
  let t = Date.now();
  const c = await ensureConstruct(engine, { packageRoot: '/work/main', env: process.env }, {});
  console.log('construct', Date.now() - t); t = Date.now();
  const tag = roleImageTag({ key: 'agent-smith', content: 'x', dockerfile: 'Dockerfile', constructKey: c.key });
  const r = await ensureRoleImage(engine, { roleDir: '/work/main/roles/agent-smith', dockerfile: 'Dockerfile', constructReference: c.reference, tag, labels: {} }, log);
  console.log('role', tag, r, Date.now() - t); t = Date.now();
  mkdirSync('/tmp/jd/capsule', { recursive: true });
  writeFileSync('/tmp/jd/capsule/capsule.mjs', '1'); writeFileSync('/tmp/jd/capsule/connect.mjs', '1'); writeFileSync('/tmp/jd/capsule/pty-x64.node', '1');
  const o = { image: c.id, cache: '/tmp/jd/cache', owner: currentOwner(), env: process.env };
  for (let i = 0; i < 2; i++) {
    console.log('agent', await ensureAgentVolume(engine, { ...o, agent: 'kimi' }, log), Date.now() - t); t = Date.now();
    console.log('runtime', await ensureRuntimeVolume(engine, { ...o, capsuleDir: '/tmp/jd/capsule' }, log), Date.now() - t); t = Date.now();
  }
}, 300000);
