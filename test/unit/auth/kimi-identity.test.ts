import { expect, test } from 'vitest';
import { identityHeaders, readMachineFacts } from '../../../src/auth/kimi-identity.ts';

const facts = { hostname: 'demo-host', osType: 'Linux', osRelease: '6.18.44', arch: 'x64', deviceId: '0f0e0d0c-0000-4000-8000-000000000000' };

test('the headers are those of Kimi Code', () => {
  expect(identityHeaders(facts)).toEqual({
    'User-Agent': 'kimi-code-cli/2.1.0',
    'X-Msh-Platform': 'kimi_code_cli',
    'X-Msh-Version': '2.1.0',
    'X-Msh-Device-Name': 'demo-host',
    'X-Msh-Device-Model': 'Linux 6.18.44 x64',
    'X-Msh-Os-Version': '6.18.44',
    'X-Msh-Device-Id': '0f0e0d0c-0000-4000-8000-000000000000',
  });
});

test('on macOS the model is named by the version of the product', () => {
  const mac = identityHeaders({ ...facts, osType: 'Darwin', osRelease: '24.1.0', arch: 'arm64', macVersion: '15.1' });
  expect(mac['X-Msh-Device-Model']).toBe('macOS 15.1 arm64');
  expect(mac['X-Msh-Os-Version']).toBe('24.1.0');
});

test.each([
  ['J\u00fcrgens Rechner', 'Jrgens Rechner'],
  ['\u6211\u7684\u7535\u8111', 'unknown'],
  ['  spaced\r\nX-Evil: 1 ', 'spacedX-Evil: 1'],
  ['', 'unknown'],
])('a host called %j is sent as %j', (hostname, sent) => {
  expect(identityHeaders({ ...facts, hostname })['X-Msh-Device-Name']).toBe(sent);
});

test('this machine has an answer to all of it', async () => {
  const machine = await readMachineFacts();
  for (const value of Object.values(machine)) expect(value).not.toBe('');
  expect(machine.arch).toBe(process.arch);
});
