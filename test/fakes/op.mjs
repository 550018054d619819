#!/usr/bin/env node
// Behaves as 1Password's `op read` does. FAKE_OP is JSON: by reference the value, or
// { fail }, { hang: true }, { after: milliseconds, value }. Without an entry there is no such
// item. FAKE_OP_LOCKED: nobody is signed in. FAKE_OP_LOG is a file for beginnings and ends.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const { env } = process;
const reference = process.argv.at(-1) ?? '';
const log = (/** @type {string} */ text) => env.FAKE_OP_LOG && appendFileSync(env.FAKE_OP_LOG, `${text}\n`);
const fail = (/** @type {string} */ why) => {
  process.stderr.write(`[ERROR] 2024/05/06 07:08:09 ${why}\n`);
  process.exitCode = 1;
};

log(`start ${reference}`);
const found = JSON.parse(env.FAKE_OP ?? '{}')[reference];
const answer = typeof found === 'string' ? { value: found } : found;
if (env.FAKE_OP_LOCKED) fail('You are not currently signed in. Please run `op signin --help` for instructions');
else if (answer === undefined) fail(`could not read secret '${reference}': item not found`);
else if (answer.hang) setInterval(() => undefined, 1000);
else {
  await sleep(answer.after ?? 0);
  if (answer.fail === undefined) process.stdout.write(answer.value);
  else fail(answer.fail);
  log(`end ${reference}`);
}
