import { describe, expect, it } from 'vitest';
import { commitLine } from '../../../src/plan/commits.ts';
import { planOf } from './world.ts';

const ON = '[git]\ncoauthor_trailer = true\ndco = true\n';

describe('who commits, and what is added', () => {
  it('is in the plan, with who decided it', () => {
    const { commits } = planOf({ global: ON, facts: { identity: { name: 'Neo', email: 'neo@example.test' } } });
    expect(commits).toEqual({
      identity: { name: 'Neo', email: 'neo@example.test' },
      coauthor_trailer: { on: true, decided_by: { layer: 'global', file: '/c/config.toml', line: 2 } },
      dco: { on: true, decided_by: { layer: 'global', file: '/c/config.toml', line: 3 } },
    });
    expect(commitLine(commits)).toBe('commits as Neo <neo@example.test>, with Co-authored-by and Signed-off-by');
    expect(planOf({ global: ON }).commits.identity).toBeNull();
  });

  it('is not spoken of when nothing is added', () => {
    expect(commitLine(planOf({ facts: { identity: { name: 'Neo' } } }).commits)).toBeUndefined();
  });

  it('warns when nobody could sign', () => {
    const warnings = (identity: object) => planOf({ global: ON, facts: { identity } }).warnings.filter((line) => line.includes('Signed-off-by'));
    expect(warnings({ name: 'Neo', email: 'neo@example.test' })).toEqual([]);
    expect(warnings({ name: 'Neo' })).toEqual([expect.stringContaining('/c/config.toml:3') as string]);
    expect(warnings({ name: 'Neo' })[0]).toContain('user.email');
  });
});
