// What lies between a person and a program in an instance: coming back, a
// keystroke, much output; each against the same through a bare exec. And what
// the capsule needs while four sessions do nothing.
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import path from 'node:path';
import pty from '@lydell/node-pty';
import { makeSandbox, removeSandbox, writeConfig, writeLogin } from '../scripts/lib/sandbox.mjs';
import { ensureEngine } from '../scripts/lib/setup.mjs';
import { interleave, median, ratio, runQuietly } from './measure.mjs';

const ATTACHES = 9;
const KEYS = 200;
const TURNS = 5;
const OUTPUT_MB = 10;
const BUDGET = { attach: 150, key: 5, rate: 0.5, memory: 80, wakeups: 5 };
const IDLE_SECONDS = 5;

/** A program in a terminal; `until` resolves when its output holds a text. */
const inTerminal = (/** @type {string} */ program, /** @type {string[]} */ args, /** @type {object} */ options) => {
  const child = pty.spawn(program, args, { name: 'xterm-256color', cols: 120, rows: 40, encoding: null, ...options });
  let seen = Buffer.alloc(0);
  /** @type {(() => void) | undefined} */
  let wake;
  child.onData((data) => {
    // Only the end is looked at: joining ten megabytes again and again would be what is measured.
    seen = Buffer.concat([seen, data]).subarray(-4096);
    wake?.();
  });
  const ended = new Promise((resolve) => child.onExit(resolve));
  return {
    ended,
    type: (/** @type {string} */ text) => child.write(text),
    forget: () => (seen = Buffer.alloc(0)),
    until: async (/** @type {string} */ text) => {
      while (!seen.includes(text)) await new Promise((resolve) => (wake = () => resolve(undefined)));
    },
    close: () => child.kill('SIGKILL'),
  };
};

/** Median milliseconds between a key and its echo, by turns through both. */
const echoes = async (/** @type {Record<string, ReturnType<typeof inTerminal>>} */ terminals) => {
  const times = Object.fromEntries(Object.keys(terminals).map((name) => [name, /** @type {number[]} */ ([])]));
  for (let turn = 0; turn < KEYS; turn += 1) {
    for (const [name, terminal] of Object.entries(terminals)) {
      const key = String.fromCharCode(97 + (turn % 26));
      terminal.forget();
      const began = performance.now();
      terminal.type(key);
      await terminal.until(key);
      times[name].push(performance.now() - began);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
};

export const measure = async () => {
  const stopEngine = await ensureEngine();
  const sandbox = await makeSandbox('bench');
  const options = { cwd: sandbox.dirs.project, env: sandbox.env };
  const jackin = (/** @type {string[]} */ ...args) => [sandbox.cli, ...args];
  const run = (/** @type {string[]} */ ...args) => runQuietly(process.execPath, jackin(...args), options);
  /** @type {ReturnType<typeof inTerminal>[]} */
  const open = [];
  const terminal = (/** @type {string} */ program, /** @type {string[]} */ args) => {
    const made = inTerminal(program, args, options);
    open.push(made);
    return made;
  };
  try {
    const loginDir = path.join(sandbox.dirs.temp, 'kimi-login');
    await writeLogin(loginDir, { expiresIn: 3600 });
    await writeConfig(sandbox, `[kimi]\nsync_source_dir = "${loginDir}"\n\n[env]\nKIMI_DISABLE_TELEMETRY = "1"\n`);
    const id = run('load', 'agent-smith', sandbox.dirs.project, '--agent', 'kimi', '--detach', '--no-input').trim();
    const { container } = JSON.parse(run('hardline', id, '--inspect', '--format', 'json')).data;
    const [program, script] = ['sh', 'echo ready; stty raw; exec cat'];
    for (let count = 0; count < 4; count += 1) run('hardline', id, '--shell', '--detach', '--', program, '-c', 'echo here; exec cat');
    run('hardline', id, '--end', 'kimi-1');

    const inside = (/** @type {string} */ text) => runQuietly('docker', ['exec', container, 'sh', '-c', text]);
    const pid = inside('pgrep -f capsule/capsule[.]mjs').trim().split('\n').at(-1);
    const memory = Number(/VmRSS:\s+(\d+)/.exec(inside(`cat /proc/${pid}/status`))?.[1]) / 1024;
    const switches = () => [...inside(`cat /proc/${pid}/task/*/status`).matchAll(/^voluntary_ctxt_switches:\s+(\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
    const before = switches();
    await sleep(IDLE_SECONDS * 1000);
    const wakeups = (switches() - before) / IDLE_SECONDS;

    const attach = await interleave(ATTACHES, {
      jackin: async () => {
        const began = performance.now();
        const back = terminal(process.execPath, jackin('hardline', id, '--session', 'shell-1'));
        await back.until('here');
        const took = performance.now() - began;
        back.close();
        await back.ended;
        return took;
      },
      bare: async () => {
        const began = performance.now();
        const bare = terminal('docker', ['exec', '-it', container, 'sh', '-c', 'echo here']);
        await bare.until('here');
        const took = performance.now() - began;
        await bare.ended;
        return took;
      },
      start: async () => {
        const began = performance.now();
        const bare = terminal(process.execPath, jackin('--version'));
        await bare.until('.');
        const took = performance.now() - began;
        await bare.ended;
        return took;
      },
    });

    const both = {
      jackin: terminal(process.execPath, jackin('hardline', id, '--shell', '--', program, '-c', script)),
      bare: terminal('docker', ['exec', '-it', container, program, '-c', script]),
    };
    for (const one of Object.values(both)) await one.until('ready');
    await sleep(300);
    const keys = await echoes(both);
    for (const one of Object.values(both)) one.close();

    const lines = `echo begin; sleep 0.2; yes "$(printf '\\033[32mline\\033[0m of output, about eighty characters long, as programs print them')" | head -c ${OUTPUT_MB * 1024 * 1024}; echo; echo finished`;
    const passing = async (/** @type {string} */ command, /** @type {string[]} */ args) => {
      const passed = terminal(command, args);
      await passed.until('begin');
      const began = performance.now() + 200;
      await passed.until('finished');
      const took = performance.now() - began;
      await passed.ended;
      return took;
    };
    const output = await interleave(TURNS, {
      jackin: () => passing(process.execPath, jackin('hardline', id, '--shell', '--', 'sh', '-c', lines)),
      bare: () => passing('docker', ['exec', '-t', container, 'sh', '-c', lines]),
    });

    return [
      {
        what: `hardline to the first frame, above jackin --version, median of ${ATTACHES}`,
        value: `${(attach.jackin - attach.start).toFixed(0)} ms, ${ratio(attach.jackin, attach.bare)} of docker exec -it (${attach.jackin.toFixed(0)} ms, ${attach.bare.toFixed(0)} ms)`,
        budget: { text: `${BUDGET.attach} ms`, isExceeded: attach.jackin - attach.start > BUDGET.attach },
      },
      {
        what: `echo of a key, above docker exec -it, median of ${KEYS}`,
        value: `${(keys.jackin - keys.bare).toFixed(2)} ms (${keys.jackin.toFixed(2)} ms, ${keys.bare.toFixed(2)} ms)`,
        budget: { text: `${BUDGET.key} ms`, isExceeded: keys.jackin - keys.bare > BUDGET.key },
      },
      {
        what: `rate of ${OUTPUT_MB} MB of output against docker exec -t, median of ${TURNS}`,
        value: `${ratio(output.bare, output.jackin)} (${output.jackin.toFixed(0)} ms, ${output.bare.toFixed(0)} ms)`,
        budget: { text: `at least ${BUDGET.rate} ×`, isExceeded: output.bare / output.jackin < BUDGET.rate },
      },
      { what: 'memory of the capsule with four sessions', value: `${memory.toFixed(0)} MB`, budget: { text: `${BUDGET.memory} MB`, isExceeded: !(memory <= BUDGET.memory) } },
      { what: 'wake-ups of the capsule while nothing happens', value: `${wakeups.toFixed(1)} per second`, budget: { text: `${BUDGET.wakeups}`, isExceeded: !(wakeups <= BUDGET.wakeups) } },
    ];
  } finally {
    for (const one of open) one.close();
    await removeSandbox(sandbox);
    await stopEngine();
  }
};
