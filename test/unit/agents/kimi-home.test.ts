import { expect, test } from 'vitest';
import { trustFile } from '../../../src/agents/kimi-home.ts';
import { NOW } from '../../fixtures/kimi/login.ts';

// Names that Kimi Code 2.1.0 computed for these folders.
test.each([
  ['/home/op/app', 'workspace-trust/wd_app_b9e41ac486fe'],
  ['/home/op/app/', 'workspace-trust/wd_app_b9e41ac486fe'],
])('trust in %s is filed under %s', (folder, path) => {
  expect(trustFile(folder, NOW)).toEqual({ path, text: JSON.stringify({ root: '/home/op/app', trustedAt: NOW.getTime() }) });
});

test.each([
  ['/srv/My Work -', /^workspace-trust\/wd_my-work_[0-9a-f]{12}$/],
  ['/srv/日本', /^workspace-trust\/wd_workspace_[0-9a-f]{12}$/],
  ['/', /^workspace-trust\/wd_workspace_[0-9a-f]{12}$/],
  [`/srv/${'a'.repeat(60)}`, /^workspace-trust\/wd_a{40}_[0-9a-f]{12}$/],
])('the name for %s stays a plain file name', (folder, pattern) => {
  expect(trustFile(folder, NOW).path).toMatch(pattern);
});
