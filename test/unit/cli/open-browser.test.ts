import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openBrowser } from '../../../src/cli/open-browser.ts';
import type { Deps } from '../../../src/launch/deps.ts';

/** A desktop whose opener writes down what it was given. */
const makeDesktop = async (env: Record<string, string>, isTTY: boolean) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'jackin-desktop-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  for (const name of ['xdg-open', 'open']) await writeFile(path.join(dir, name), `#!/bin/sh\necho "$@" >${dir}/opened\n`, { mode: 0o755 });
  const deps = { env: { PATH: `${dir}:/usr/bin:/bin`, ...env }, stderr: { isTTY } } as unknown as Deps;
  return { deps, opened: () => readFile(path.join(dir, 'opened'), 'utf8').catch(() => '') };
};

const PAGE = 'https://kimi.example/device?user_code=FAKE';

test('somebody at a screen is shown the page', async () => {
  const { deps, opened } = await makeDesktop({ DISPLAY: ':0' }, true);
  openBrowser(PAGE, deps);
  await vi.waitFor(async () => expect(await opened()).toBe(`${PAGE}\n`));
});

test.each([
  ['a script', { DISPLAY: ':0' }, false, PAGE],
  ['somebody at the end of a line', { DISPLAY: ':0', SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22' }, true, PAGE],
  ['an address that would start a program', { DISPLAY: ':0' }, true, 'file:///usr/bin/true'],
  ['an address that is an option', { DISPLAY: ':0' }, true, '--version'],
] as [string, Record<string, string>, boolean, string][])('nothing is opened for %s', async (_what, env, isTTY, url) => {
  const { deps, opened } = await makeDesktop(env, isTTY);
  openBrowser(url, deps);
  await sleep(200);
  expect(await opened()).toBe('');
});

test('that there is no opener is no matter', async () => {
  const deps = { env: { DISPLAY: ':0', PATH: '/nonexistent' }, stderr: { isTTY: true } } as unknown as Deps;
  expect(() => openBrowser(PAGE, deps)).not.toThrow();
  await sleep(50);
});
