import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { currentOwner, isAlive } from '../../../src/shared/owner.ts';

describe('the owner of something', () => {
  it('is alive while that very process runs', async () => {
    expect(isAlive(currentOwner())).toBe(true);
    const child = spawn(process.execPath, ['-e', '']);
    const pid = child.pid!;
    await once(child, 'exit');
    expect(isAlive({ ...currentOwner(), pid })).toBe(false);
  });

  it.skipIf(process.platform !== 'linux')('is not alive once it was killed, although nobody has asked what became of it', async () => {
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
    try {
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number(String(line));
      const started = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19] ?? '';
      const owner = { ...currentOwner(), pid, started };
      expect(isAlive(owner)).toBe(true);
      process.kill(pid, 'SIGKILL');
      await expect.poll(() => isAlive(owner)).toBe(false);
      expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z ');
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('is not another process that got its pid, nor one of another boot', () => {
    expect(isAlive({ ...currentOwner(), started: '1' })).toBe(false);
    expect(isAlive({ ...currentOwner(), boot: 'another' })).toBe(false);
  });
});
