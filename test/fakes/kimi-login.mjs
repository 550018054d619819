// Writes a host's Kimi directory the way the real programs leave it after a
// login, with tokens that nobody else has ever seen.
import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { newToken } from './kimi-server.mjs';

const DEFAULT_HOST = 'https://auth.kimi.com';
const DEFAULT_BASE = 'https://api.kimi.com/coding/v1';

const slotOf = (/** @type {string} */ host, /** @type {string} */ base) => {
  if (host === DEFAULT_HOST && base === DEFAULT_BASE) return 'kimi-code';
  const pair = JSON.stringify({ oauthHost: host, baseUrl: base });
  return `kimi-code-env-${createHash('sha256').update(pair).digest('hex').slice(0, 16)}`;
};

/** Modes of new files and directories would follow the umask; a login does not. */
const put = async (/** @type {string} */ file, /** @type {string} */ text, mode = 0o600) => {
  await writeFile(file, text);
  await chmod(file, mode);
};

const configOfKimiCode = (/** @type {string} */ host, /** @type {string} */ base, /** @type {string} */ slot) => {
  const oauth = [
    'storage = "file"',
    `key = "oauth/${slot}"`,
    ...(slot === 'kimi-code' ? [] : [`oauth_host = "${host}"`]),
  ];
  const service = (/** @type {string} */ name) => [
    '',
    `[services.moonshot_${name}]`,
    `base_url = "${base}/${name}"`,
    'api_key = ""',
    '',
    `[services.moonshot_${name}.oauth]`,
    ...oauth,
  ];
  return [
    'default_model = "kimi-code/kimi-for-coding"',
    '',
    '[providers."managed:kimi-code"]',
    'type = "kimi"',
    'api_key = ""',
    `base_url = "${base}"`,
    '',
    '[providers."managed:kimi-code".oauth]',
    ...oauth,
    '',
    '[models."kimi-code/kimi-for-coding"]',
    'provider = "managed:kimi-code"',
    'model = "kimi-for-coding"',
    'max_context_size = 262144',
    'capabilities = [ "thinking", "image_in", "video_in", "tool_use" ]',
    'display_name = "Kimi for Coding"',
    'support_efforts = [ "low", "high", "max" ]',
    'default_effort = "high"',
    '',
    '[thinking]',
    'enabled = true',
    ...service('search'),
    ...service('fetch'),
    '',
    '',
  ].join('\n');
};

/** kimi-cli dumps its defaults as well; these are the ones that a reader may trip over. */
const configOfKimiCli = (/** @type {string} */ base) => {
  const service = (/** @type {string} */ name) => [
    `[services.moonshot_${name}]`,
    `base_url = "${base}/${name}"`,
    'api_key = ""',
    '',
    `[services.moonshot_${name}.oauth]`,
    'storage = "file"',
    'key = "oauth/kimi-code"',
    '',
  ];
  return [
    'default_model = "kimi-code/kimi-for-coding"',
    'default_thinking = true',
    'default_yolo = false',
    'theme = "dark"',
    '',
    '[models."kimi-code/kimi-for-coding"]',
    'provider = "managed:kimi-code"',
    'model = "kimi-for-coding"',
    'max_context_size = 262144',
    'capabilities = ["thinking", "image_in", "video_in"]',
    'display_name = "Kimi for Coding"',
    '',
    '[providers."managed:kimi-code"]',
    'type = "kimi"',
    `base_url = "${base}"`,
    'api_key = ""',
    '',
    '[providers."managed:kimi-code".oauth]',
    'storage = "file"',
    'key = "oauth/kimi-code"',
    '',
    '[loop_control]',
    'max_steps_per_turn = 100',
    '',
    '[background]',
    'max_running_tasks = 4',
    '',
    ...service('search'),
    ...service('fetch'),
  ].join('\n');
};

/**
 * Writes a logged-in Kimi home and returns what a server must know of it.
 *
 * @param {string} dir made when missing
 * @param {object} [options]
 * @param {'kimi-code' | 'kimi'} [options.generation] Kimi Code (default) or kimi-cli
 * @param {string} [options.host] OAuth host; the product's own when left out
 * @param {string} [options.base] API base
 * @param {number} [options.expiresIn] lifetime that the server had given the token, in seconds
 * @param {number} [options.age] seconds since it was given; more than `expiresIn` is an expired token
 */
export const writeKimiLogin = async (dir, options = {}) => {
  const { generation = 'kimi-code', host = DEFAULT_HOST, base = DEFAULT_BASE, expiresIn = 900, age = 0 } = options;
  const isCode = generation === 'kimi-code';
  const slot = isCode ? slotOf(host, base) : 'kimi-code';
  const now = Date.now() / 1000 - age;
  const expiresAt = isCode ? Math.floor(now) + expiresIn : now + expiresIn;
  const subject = randomUUID();
  const accessToken = newToken(subject, expiresAt);
  const refreshToken = newToken(subject, now + 30 * 24 * 3600);
  const deviceId = isCode ? randomUUID() : randomUUID().replaceAll('-', '');

  await mkdir(path.join(dir, 'credentials'), { recursive: true });
  await chmod(dir, isCode ? 0o700 : 0o755);
  await chmod(path.join(dir, 'credentials'), isCode ? 0o700 : 0o755);
  await put(path.join(dir, 'config.toml'), isCode ? configOfKimiCode(host, base, slot) : configOfKimiCli(base), 0o644);
  await put(path.join(dir, 'device_id'), deviceId);
  const credential = {
    access_token: accessToken,
    refresh_token: refreshToken,
    expires_at: expiresAt,
    scope: 'kimi-code',
    token_type: 'Bearer',
    expires_in: expiresIn,
  };
  const text = isCode ? `${JSON.stringify(credential, undefined, 2)}\n` : JSON.stringify(credential);
  await put(path.join(dir, 'credentials', `${slot}.json`), text);
  return { slot, subject, deviceId, accessToken, refreshToken, expiresAt };
};
