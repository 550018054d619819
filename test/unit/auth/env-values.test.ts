import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readEntries, readEnvValues } from '../../../src/auth/env-values.ts';
import type { EnvEntry, EnvSource } from '../../../src/config/resolve-env.ts';
import { installFake, installScript } from '../../fakes/install.ts';
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
  await installScript(bin, 'op', `printf '%s\\n' "$@" > "${root}/args"\n${script}`);
  return { PATH: `${bin}:/usr/bin:/bin` };
};

const read = (entries: EnvEntry[], env: Record<string, string> = {}, timeoutMs?: number) =>
  readEnvValues(entries, env, new AbortController().signal, timeoutMs);

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

  it('are not read when a NUL is in them: whoever starts a program with one quotes it', async () => {
    const failed = read([entry('L', { kind: 'literal', value: 'canary\0' }), entry('C', { kind: 'op', reference: 'op://v/i/f' })], await withOp("printf 'canary\\000'"));
    await expect(failed).rejects.toThrow(/L .*NUL.*\n.*C .*NUL/);
    await expect(failed).rejects.not.toThrow('canary');
  });

  it('are not read when no variable can hold them: whoever starts a program with one does not say which', async () => {
    const fits = entry('F', { kind: 'literal', value: 'x'.repeat(130_000) });
    expect(await read([fits])).toHaveLength(1);
    await expect(read([fits, entry('L', { kind: 'literal', value: 'é'.repeat(66_000) })])).rejects.toThrow(/^variables for the agent could not be read:\n {2}L .*more than 130000 bytes[^\n]*$/);
  });

  it('may be empty on the host, which is not the same as not being set', async () => {
    expect((await read([entry('B', { kind: 'host', name: 'HOST' })], { HOST: '' })).get('B')?.reveal()).toBe('');
  });

  it('stay in the order of their entries, when a name stands there twice', async () => {
    const entries = ['1', '2', '3'].map((value) => entry('SAME', { kind: 'literal', value }));
    expect((await readEntries(entries, {}, new AbortController().signal)).map((value) => value.reveal())).toEqual(['1', '2', '3']);
  });
});

describe('values of 1Password', () => {
  const references = (count: number) => Array.from({ length: count }, (_, index) => `op://v/i/${index}`);
  const entriesFor = (names: string[]) => names.map((reference, index) => entry(`V${index}`, { kind: 'op', reference }));

  const fakeOp = async (answers: Record<string, unknown>, more: Record<string, string> = {}): Promise<Record<string, string>> => {
    const bin = path.join(root, 'bin');
    await installFake(bin, 'op');
    return { PATH: bin, FAKE_OP: JSON.stringify(answers), FAKE_OP_LOG: path.join(root, 'log'), ...more };
  };
  const log = async () => (await readFile(path.join(root, 'log'), 'utf8')).trim().split('\n');

  it('keep their lines, quotes and blanks at both ends', async () => {
    const value = ' -----BEGIN FAKE KEY-----\nabc"\\$x\n\n-----END FAKE KEY-----\n\n';
    const values = await read(entriesFor(['op://v/i/key']), await fakeOp({ 'op://v/i/key': value }));
    expect(values.get('V0')?.reveal()).toBe(value);
  });

  it('are asked for once, however many variables want them, and once for each account', async () => {
    const entries = [...entriesFor(['op://v/i/f', 'op://v/i/f', 'op://v/i/f']), entry('W', { kind: 'op', reference: 'op://v/i/f', account: 'acme' })];
    const values = await read(entries, await fakeOp({ 'op://v/i/f': 'fake' }));
    expect([...values.values()].map((value) => value.reveal())).toEqual(['fake', 'fake', 'fake', 'fake']);
    expect((await log()).filter((line) => line.startsWith('start'))).toHaveLength(2);
  });

  it('are asked for at the same time, but not all of many', async () => {
    const all = references(12);
    await read(entriesFor(all), await fakeOp(Object.fromEntries(all.map((reference) => [reference, { after: 300, value: 'fake' }]))));
    const running = (await log()).map((line) => (line.startsWith('start') ? 1 : -1)).reduce<number[]>((counts, step) => [...counts, (counts.at(-1) ?? 0) + step], []);
    expect(Math.max(...running)).toBeGreaterThan(1);
    expect(Math.max(...running)).toBeLessThanOrEqual(8);
    expect(running.at(-1)).toBe(0);
  });

  it('are all waited for, and the one of five that fails is named alone', async () => {
    const [broken, ...good] = references(5);
    const env = await fakeOp({ ...Object.fromEntries(good.map((reference) => [reference, { after: 50, value: 'canary-value' }])), [broken!]: { fail: 'item "x" is archived' } });
    const failed = read(entriesFor(references(5)), env);
    await expect(failed).rejects.toThrow(/^variables for the agent could not be read:\n {2}V0 \(global \(\/c\/config\.toml:2\)\): the 1Password CLI `op` failed: item "x" is archived$/);
    await expect(failed).rejects.not.toThrow('canary');
  });

  it('are missed when 1Password is locked, for every variable that wants one', async () => {
    const failed = read(entriesFor(references(2)), await fakeOp({}, { FAKE_OP_LOCKED: '1' }));
    await expect(failed).rejects.toThrow(/V0 .*`op` failed: You are not currently signed in\. .*\n.*V1 .*not currently signed in/);
  });

  it('are not waited for longer than said, each on its own', async () => {
    const [hangs, slow] = references(2);
    const env = await fakeOp({ [hangs!]: { hang: true }, [slow!]: { after: 200, value: 'fake' } });
    const started = performance.now();
    const failed = read(entriesFor([hangs!, slow!]), env, 2500);
    await expect(failed).rejects.toThrow(/^[^\n]*\n {2}V0 [^\n]*`op` did not answer within 2\.5 seconds$/);
    expect(performance.now() - started).toBeLessThan(6000);
  });

  it('are not waited for when `op` is a script that hangs in another program', async () => {
    const env = await withOp('sleep 30');
    const started = performance.now();
    await expect(read(entriesFor(references(1)), env, 300)).rejects.toThrow('did not answer within 0.3 seconds');
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('are not there when `op` prints nothing', async () => {
    await expect(read(entriesFor(references(1)), await fakeOp({ 'op://v/i/0': '' }))).rejects.toThrow('`op` printed nothing');
  });

  it('bring no controls of a terminal with their failures', async () => {
    await expect(read(entriesFor(references(1)), await withOp("printf '\\n\\033[31mred\\007\\n' >&2; exit 1"))).rejects.toThrow(/`op` failed: \[31mred$/);
  });

  it('are given up at once when the launch is interrupted', async () => {
    const controller = new AbortController();
    const reading = readEnvValues(entriesFor(references(1)), await fakeOp({ 'op://v/i/0': { hang: true } }), controller.signal);
    setTimeout(() => controller.abort(), 300);
    await expect(reading).rejects.toMatchObject({ code: 'interrupted' });
  });
});
