#!/usr/bin/env node
// Behaves as GitHub's `gh` 2.46 does where jackin or git ask it something, and as
// FAKE_GH says: fail, hang, nothing, garbage, leak (its complaint holds the token).
// FAKE_GH_KEYRING is the token in the password store, FAKE_GH_LOG a file for what it was asked.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const { env } = process;
const args = process.argv.slice(2);
const dir = env.GH_CONFIG_DIR || path.join(env.XDG_CONFIG_HOME || path.join(env.HOME ?? '/', '.config'), 'gh');
const files = { hosts: path.join(dir, 'hosts.yml'), config: path.join(dir, 'config.yml') };

const read = (/** @type {string} */ file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');
const say = (/** @type {NodeJS.WriteStream} */ stream, /** @type {string} */ text, /** @type {number} */ code) => {
  stream.write(text);
  process.exitCode = code;
};

/** Text of a key of one host; good enough for the files of the tests. */
const setting = (/** @type {string} */ host, /** @type {string} */ key) => {
  const block = read(files.hosts).split(/^(?=\S)/m).find((part) => part.startsWith(`${host}:`)) ?? '';
  return new RegExp(`^    ${key}: (.*)$`, 'm').exec(block)?.[1];
};

const tokenFor = (/** @type {string} */ host) =>
  host === 'github.com'
    ? env.GH_TOKEN || env.GITHUB_TOKEN || setting(host, 'oauth_token') || env.FAKE_GH_KEYRING
    : (host === env.GH_HOST && env.GH_ENTERPRISE_TOKEN) || setting(host, 'oauth_token');

/** From 2.40 on, files of an older gh are converted by whatever command comes first. */
const convert = () => {
  if (read(files.config).includes('version:') || read(files.hosts) === '') return;
  writeFileSync(files.config, 'version: "1"\n');
  writeFileSync(files.hosts, `${read(files.hosts)}    users:\n        ${setting('github.com', 'user')}:\n`);
};

const token = () => {
  const found = tokenFor(args[args.indexOf('--hostname') + 1] ?? '');
  if (env.FAKE_GH === 'leak') return say(process.stderr, `cannot use ${found}\n`, 1);
  return found ? say(process.stdout, `${found}\n`, 0) : say(process.stderr, 'no oauth token found for github.com\n', 1);
};

const credential = () => {
  const asked = Object.fromEntries(readFileSync(0, 'utf8').split('\n').filter(Boolean).map((line) => line.split(/=(.*)/s)));
  const found = asked.protocol === 'https' ? tokenFor(asked.host) : undefined;
  if (args[2] !== 'get') return undefined;
  if (!found) return say(process.stdout, '', 1);
  return say(process.stdout, `protocol=https\nhost=${asked.host}\nusername=${setting(asked.host, 'user') ?? 'x-access-token'}\npassword=${found}\n`, 0);
};

if (env.FAKE_GH_LOG) appendFileSync(env.FAKE_GH_LOG, `${args.join(' ')}\n`);
if (env.FAKE_GH === 'hang') setInterval(() => undefined, 1000);
else if (env.FAKE_GH === 'nothing') process.exitCode = 0;
else if (env.FAKE_GH === 'garbage') say(process.stdout, 'A new release of gh is available\n', 0);
else if (env.FAKE_GH === 'fail') say(process.stderr, 'failed to read configuration\n', 1);
else {
  convert();
  if (args[1] === 'token') token();
  else if (args[1] === 'git-credential') credential();
}
