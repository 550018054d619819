import { describe, expect, it } from 'vitest';
import { maskText } from '../../../src/config/mask-text.ts';

describe('maskText', () => {
  it('hides literals in every table of variables, of old files too, and nothing else', () => {
    const text = [
      'version = "v1alpha6" # canary-free',
      '[env]',
      'A = "canary" # a comment stays',
      "B = 'canary'",
      'C = """canary\ncanary"""',
      'D = "$HOST"',
      'E = "op://v/i/f"',
      'F = { op = "op://v/i/f", path = "Vault/Item", account = "acme" }',
      '[roles.smith.env]',
      '"A" = "canary"',
      '[github]',
      'env.GH_TOKEN = "canary"',
      '[workspaces.app.env]',
      'A = 1',
      '[workspaces.app]',
      'roles = { env = { env = { path = "canary" } } }',
    ].join('\n');
    const masked = maskText(text);
    expect(masked).not.toMatch(/canary(?!-free)/);
    expect(masked.split('\n')).toEqual([
      'version = "v1alpha6" # canary-free',
      '[env]',
      'A = "********" # a comment stays',
      'B = "********"',
      'C = "********"',
      'D = "$HOST"',
      'E = "op://v/i/f"',
      'F = { op = "op://v/i/f", path = "Vault/Item", account = "acme" }',
      '[roles.smith.env]',
      '"A" = "********"',
      '[github]',
      'env.GH_TOKEN = "********"',
      '[workspaces.app.env]',
      'A = "********"',
      '[workspaces.app]',
      'roles = { env = { env = { path = "********" } } }',
    ]);
  });
});
