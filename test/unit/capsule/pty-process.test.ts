import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startPty } from '../../../src/capsule/pty-process.ts';

const start = (script: string) => {
  const seen = { output: '', exit: undefined as { code: number } | undefined };
  const program = startPty(
    { file: '/bin/sh', args: ['-c', script], cwd: '/', env: { PATH: process.env['PATH'] ?? '' } },
    { cols: 80, rows: 24 },
    { output: (bytes) => (seen.output += bytes.toString('latin1')), ended: (exit) => (seen.exit = exit) },
  );
  return { program, seen };
};

it('a program that ends while it is held back keeps the end of its output', async () => {
  const { program, seen } = start('stty raw -echo; echo ready; read x; printf "%3000s" END; exit 3');
  await expect.poll(() => seen.output).toContain('ready');
  program.pause();
  program.write(Buffer.from('\n'));
  await expect.poll(() => seen.exit, { timeout: 5000 }).toEqual({ code: 3 });
  expect(seen.output.trimEnd().slice(-4)).toBe(' END');
});

it('a program that is held back does not go on', async () => {
  const { program, seen } = start('while :; do echo flood; done');
  await expect.poll(() => seen.output).toContain('flood');
  program.pause();
  await sleep(100);
  const before = seen.output.length;
  await sleep(200);
  expect(seen.output.length).toBe(before);
  program.signal('SIGKILL');
  await expect.poll(() => seen.exit, { timeout: 5000 }).toEqual({ code: 137, signal: 'SIGKILL' });
});

it('calls after the end do nothing', async () => {
  const { program, seen } = start('exit 0');
  await expect.poll(() => seen.exit, { timeout: 5000 }).toEqual({ code: 0 });
  const before = structuredClone(seen);
  const calls: (() => unknown)[] = [
    () => program.resize({ cols: 10, rows: 10 }),
    () => program.write(Buffer.from('x')),
    () => program.pause(),
    () => program.resume(),
    // Its number may be another process's by now.
    () => program.signal('SIGKILL'),
  ];
  for (const call of calls) expect(call).not.toThrow();
  await sleep(100);
  expect(structuredClone(seen)).toEqual(before);
});
