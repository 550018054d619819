import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

  it('is not another process that got its pid, nor one of another boot', () => {
    expect(isAlive({ ...currentOwner(), started: '1' })).toBe(false);
    expect(isAlive({ ...currentOwner(), boot: 'another' })).toBe(false);
  });
});
