import { SHELL, type SpawnRequest } from '../capsule/protocol.ts';
import type { Paths } from '../config/paths.ts';
import type { SessionEnd } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import { terminalSize } from '../docker/terminal.ts';
import type { Deps } from './deps.ts';
import type { Ui } from './load.ts';
import { DETACHED_SIZE, recordEnd, runSession, tellTrouble } from './run-session.ts';

/** Opens a shell beside the agents, or runs a program as they would: nothing is set up for it. */
export const openShell = async (
  { engine, paths, instance, workdir }: { engine: Engine; paths: Paths; instance: { id: string; container: string }; workdir: string },
  argv: string[],
  how: 'attached' | 'detached' | 'piped',
  ui: Ui,
  deps: Deps,
): Promise<SessionEnd> => {
  const { container } = instance;
  const io = how === 'piped' ? 'pipe' : 'pty';
  const size = how === 'attached' ? terminalSize(ui.terminal()) : DETACHED_SIZE;
  const request: SpawnRequest = { session: { agent: SHELL, argv, cwd: workdir, io, size }, detached: how === 'detached' };
  const end = await runSession({ engine, container, instance: instance.id, agent: undefined, kind: how === 'piped' ? 'prompt' : how, opening: { kind: 'spawn', request } }, ui, deps);
  await recordEnd(paths.dataDir, container, end, deps.now()).catch(tellTrouble('how the session ended cannot be recorded', ui));
  return end;
};
