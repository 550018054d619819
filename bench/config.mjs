// What a launch pays for workspaces that it does not use.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { makeSandbox, removeSandbox, writeConfig } from '../scripts/lib/sandbox.mjs';
import { interleave, ratio, runQuietly, time } from './measure.mjs';

const TURNS = 11;
const MANY = 200;

const makePlace = async (/** @type {number} */ workspaces) => {
  const sandbox = await makeSandbox('bench');
  await writeConfig(sandbox, '');
  const dir = path.join(sandbox.dirs.config, 'workspaces');
  await mkdir(dir, { recursive: true });
  const { project } = sandbox.dirs;
  const text = `version = "v1alpha6"\nworkdir = "${project}"\n\n[[mounts]]\nsrc = "${project}"\ndst = "${project}"\n`;
  for (let n = 0; n < workspaces; n += 1) await writeFile(path.join(dir, `project-${n}.toml`), text);
  return sandbox;
};

export const measure = async () => {
  const one = await makePlace(1);
  const many = await makePlace(MANY);
  const plan = (/** @type {import('../scripts/lib/sandbox.mjs').Sandbox} */ { cli, env, dirs }) =>
    time(() => {
      const args = [cli, 'load', 'agent-smith', 'project-0', '--agent', 'kimi', '--dry-run', '--format', 'json'];
      runQuietly(process.execPath, args, { env, cwd: dirs.project });
    });
  try {
    const times = await interleave(TURNS, { one: () => plan(one), many: () => plan(many) });
    return [
      { what: `load --dry-run with ${MANY} workspaces against 1`, value: ratio(times.many, times.one) },
    ];
  } finally {
    for (const sandbox of [one, many]) await removeSandbox(sandbox);
  }
};
