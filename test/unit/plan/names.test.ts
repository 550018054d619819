import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { containerName, instanceId, isInstanceId } from '../../../src/plan/names.ts';

describe('instance ids', () => {
  it('are eight symbols without look-alikes', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes) => /^[0-9abcdefghjkmnpqrstvwxyz]{8}$/.test(instanceId(bytes))));
    expect(isInstanceId(instanceId(new Uint8Array(8)))).toBe(true);
    expect(isInstanceId('iiiiiiii')).toBe(false);
  });
});

describe('container names', () => {
  it('tell id, workspace and role', () => {
    expect(containerName('k7p9m2xq', 'My App', 'chainargos/agent-smith')).toBe('jk-k7p9m2xq-myapp-agentsmith');
    expect(containerName('k7p9m2xq', null, 'agent-smith')).toBe('jk-k7p9m2xq-agentsmith');
    expect(containerName('k7p9m2xq', '---', '../..')).toBe('jk-k7p9m2xq-workspace-role');
  });

  it('keep to 58 characters and to the engine’s alphabet, whatever comes in', () => {
    fc.assert(
      fc.property(fc.option(fc.string({ maxLength: 300 })), fc.string({ maxLength: 300 }), (workspace, role) => {
        const name = containerName('k7p9m2xq', workspace, role);
        expect(name.length).toBeLessThanOrEqual(58);
        expect(name).toMatch(/^jk-k7p9m2xq(-[a-z0-9]+){1,2}$/);
      }),
    );
  });

  it('keep long names apart that begin alike', () => {
    const long = 'x'.repeat(60);
    expect(containerName('k7p9m2xq', `${long}a`, long)).not.toBe(containerName('k7p9m2xq', `${long}b`, long));
  });
});
