import { defineConfig } from 'vitest/config';

const project = (name: string, testTimeout: number, parallel: boolean) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: testTimeout,
    // The engine is one machine-wide resource: tests that talk to it run one file at a time, after the others.
    ...(parallel ? {} : { maxWorkers: 1 }),
    sequence: { groupOrder: parallel ? 0 : 1 },
    pool: 'forks' as const,
  },
});

export default defineConfig({
  test: {
    // Many tests wait for a process or a limit, so each core has a file.
    maxWorkers: '100%',
    projects: [
      project('unit', 20_000, true),
      project('cli', 20_000, true),
      project('contract', 180_000, false),
      project('e2e', 600_000, false),
    ],
  },
});
