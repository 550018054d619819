import { expect, test } from 'vitest';
import { KIMI_REGIONS } from '../../../src/agents/kimi-hosts.ts';
import { hostsFor } from '../../../src/launch/login.ts';

const own = { oauthHost: 'http://127.0.0.1:1', baseUrl: 'http://127.0.0.1:1/v1' };
const { 'mainland-cn': china, global } = KIMI_REGIONS;

test.each([
  ['nothing', {}, undefined, undefined, china],
  ['a region', {}, 'global', undefined, global],
  ['a login that is there', {}, undefined, own, own],
  ['a region, for a login that is there', {}, 'mainland-cn', own, china],
  ['both variables, against a region', { KIMI_CODE_OAUTH_HOST: 'http://127.0.0.1:1/', KIMI_CODE_BASE_URL: ' http://127.0.0.1:1/v1// ' }, 'global', undefined, own],
  ['the older variable', { KIMI_OAUTH_HOST: 'http://127.0.0.1:1' }, 'global', undefined, { ...global, oauthHost: 'http://127.0.0.1:1' }],
  ['the newer one before the older', { KIMI_CODE_OAUTH_HOST: 'http://127.0.0.1:1', KIMI_OAUTH_HOST: 'http://127.0.0.1:2' }, undefined, undefined, { ...china, oauthHost: 'http://127.0.0.1:1' }],
  ['variables that are empty', { KIMI_CODE_OAUTH_HOST: '', KIMI_CODE_BASE_URL: ' ' }, 'global', undefined, global],
] as const)('with %s it is known where to log in', (_what, env, region, old, hosts) => {
  expect(hostsFor(env, region, old)).toEqual(hosts);
});

test.each(['file:///etc/passwd', 'auth.kimi.example', 'javascript:alert(1)', 'https://', 'https://me:fake-password@auth.kimi.example', 'https://auth.kimi.example?x=1', 'https://auth.kimi.example/#x', 'https://auth.kimi .example'])('%s is no server', (url) => {
  expect(() => hostsFor({ KIMI_CODE_OAUTH_HOST: url }, undefined, undefined)).toThrow('KIMI_CODE_OAUTH_HOST is not the address of a server');
});
