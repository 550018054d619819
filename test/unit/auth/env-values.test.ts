import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readEnvValues } from '../../../src/auth/env-values.ts';
import type { EnvEntry, EnvSource } from '../../../src/config/resolve-env.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

const entry = (name: string, source: EnvSource): EnvEntry => ({ name, source, origin: { layer: 'global', file: '/c/config.toml', line: 2 }, beaten: [] });

/** An `op` that notes its arguments and does as the script says. */
const withOp = async (script: string): Promise<Record<string, string>> => {
  const bin = path.join(root, 'bin');
  await mkdir(bin);
  await writeFile(path.join(bin, 'op'), `#!/bin/sh\nprintf '%s\\n' "$@" > "${root}/args"\n${script}\n`);
  await chmod(path.join(bin, 'op'), 0o755);
  return { PATH: `${bin}:/usr/bin:/bin` };
};

const read = (entries: EnvEntry[], env: Record<string, string> = {}) => readEnvValues(entries, env, new AbortController().signal);

describe('values of the environment layers', () => {
  it('come from the text, the host and 1Password, byte for byte', async () => {
    const env = { ...(await withOp('printf "from op\\n "')), HOST: 'from host' };
    const values = await read([entry('A', { kind: 'literal', value: '$x' }), entry('B', { kind: 'host', name: 'HOST' }), entry('C', { kind: 'op', reference: 'op://v/i/f' })], env);
    expect([...values].map(([name, value]) => [name, value.reveal()])).toEqual([['A', '$x'], ['B', 'from host'], ['C', 'from op\n ']]);
    expect(JSON.stringify([...values])).not.toContain('from');
  });

  it('of 1Password are asked for by reference, which is never taken for an option', async () => {
    await read([entry('C', { kind: 'op', reference: 'op://v/-rf', account: 'acme' })], await withOp('printf x'));
    expect(await readFile(path.join(root, 'args'), 'utf8')).toBe('read\n--no-newline\n--account\nacme\n--\nop://v/-rf\n');
  });

  it('that are missing are all named in one error, with where they are asked for', async () => {
    const missing = read([entry('A', { kind: 'host', name: 'NOWHERE' }), entry('B', { kind: 'host', name: 'NOT_HERE' }), entry('C', { kind: 'op', reference: 'op://v/i/f' })], { PATH: root });
    await expect(missing).rejects.toMatchObject({ code: 'auth.missing', exitCode: 4 });
    await expect(missing).rejects.toThrow(/A \(global \(\/c\/config\.toml:2\)\): \$NOWHERE is not set on the host\n.*B .*\$NOT_HERE.*\n.*C .*`op` is not installed/);
  });

  it('are in no error: of what `op` says, one line of its complaint and nothing of its answer', async () => {
    const env = await withOp('echo canary-answer; echo "no such item" >&2; echo canary-more >&2; exit 1');
    const failed = read([entry('C', { kind: 'op', reference: 'op://v/i/f' }), entry('L', { kind: 'literal', value: 'canary-literal' })], env);
    await expect(failed).rejects.toThrow(/: no such item$/);
    await expect(failed).rejects.not.toThrow('canary');
  });
});
