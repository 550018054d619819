import { defineConfig } from 'vitest/config';

const project = (name: string, testTimeout: number, parallel: boolean) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: testTimeout,
    // The engine is one machine-wide resource: what talks to it runs one file at a time.
    fileParallelism: parallel,
    pool: 'forks' as const,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', 20_000, true),
      project('cli', 20_000, true),
      project('contract', 180_000, false),
      project('e2e', 600_000, false),
    ],
  },
});
