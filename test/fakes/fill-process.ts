import { connectEngine } from '../../src/docker/docker-engine.ts';
import { ensureAgentVolume } from '../../src/docker/agent-volumes.ts';
import { currentOwner } from '../../src/shared/owner.ts';

/** Run as a process of its own: fills Kimi's volume as a launch does, says what it does on stderr and the result on stdout. */
const { version, image, cache, env } = JSON.parse(process.argv[2] ?? '{}') as {
  version: string;
  image: string;
  cache: string;
  env: Record<string, string>;
};
const engine = await connectEngine(process.env);
const onLine = (line: string): void => void process.stderr.write(`${line}\n`);
const result = await ensureAgentVolume(engine, { agent: 'kimi', version, image, cache, env, owner: currentOwner() }, { onLine });
process.stdout.write(JSON.stringify(result));
