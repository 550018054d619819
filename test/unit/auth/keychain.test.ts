import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readKeychain } from '../../../src/auth/keychain.ts';

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'jackin-keychain-'));
});

afterEach(() => rm(dir, { recursive: true }));

/** A program that behaves as macOS's `security` does. */
const security = async (script: string): Promise<string> => {
  const file = path.join(dir, 'security');
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
};

test('gives the secret of a service, without its last line break', async () => {
  const program = await security('[ "$*" = "find-generic-password -s Some service-1 -w" ] && echo fake-secret');
  expect(await readKeychain('Some service-1', program)).toBe('fake-secret');
});

test('a service that is not there is nothing, and so is an empty secret', async () => {
  expect(await readKeychain('x', await security('echo "could not be found" >&2; exit 44'))).toBeUndefined();
  expect(await readKeychain('x', await security('exit 0'))).toBeUndefined();
});

test('a Keychain that refuses is an error with its own words, never the secret', async () => {
  const program = await security('echo fake-secret; echo "User interaction is not allowed." >&2; exit 36');
  const error = await readKeychain('x', program).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: 'auth.missing', message: 'the Keychain item "x" cannot be read: User interaction is not allowed.' });
  expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('fake-secret');
});
