/**
 * Looks for secrets in the environment and in the memory of processes, as any program
 * of the same user can. Runs in a container as well: plain JavaScript, one file.
 *
 *   node scan-memory.mjs <mask of secret 0> <mask of secret 1> …   prints JSON
 *
 * Secrets are given masked: what is looked for must not stand in what asks for it.
 */
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const PAGE = 4096;
const PRESENT = 0x80;
const MASK = 0x5a;
const PIECE = 1024 * 1024;

const flip = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes.map((byte) => byte ^ MASK));
export const mask = (/** @type {string} */ secret) => flip(Buffer.from(secret)).toString('hex');
const unmask = (/** @type {string} */ masked) => flip(Buffer.from(masked, 'hex'));

/** @typedef {{ start: number, end: number }} Range */

/** Memory that can be written and has pages, from the large map of a process. */
const writableRanges = (/** @type {string} */ smaps) =>
  smaps
    .split(/^(?=[\da-f]+-[\da-f]+ )/m)
    .filter((part) => /^\S+ rw/.test(part) && !/^Rss:\s+0 kB/m.test(part))
    .map((part) => {
      const [start = 0, end = 0] = (part.split(' ', 1)[0] ?? '').split('-').map((hex) => Number.parseInt(hex, 16));
      return { start, end };
    });

/** Runs of pages that are there, each at most a piece long: an agent reserves many gigabytes that it never touches. */
function* presentRuns(/** @type {number} */ pagemap, /** @type {Range} */ { start, end }) {
  const entries = Buffer.alloc(64 * 1024);
  let run = { start, end: start };
  for (let at = start; at < end; ) {
    const read = readSync(pagemap, entries, 0, Math.min(entries.length, ((end - at) / PAGE) * 8), (at / PAGE) * 8);
    if (read === 0) break;
    for (let entry = 0; entry < read; entry += 8, at += PAGE) {
      const isPresent = ((entries[entry + 7] ?? 0) & PRESENT) !== 0;
      if (isPresent && run.end === at && run.end - run.start < PIECE) {
        run.end = at + PAGE;
        continue;
      }
      if (run.end > run.start) yield run;
      run = isPresent ? { start: at, end: at + PAGE } : { start: at + PAGE, end: at + PAGE };
    }
  }
  if (run.end > run.start) yield run;
}

const withFile = (/** @type {string} */ file, /** @type {(fd: number) => void} */ act) => {
  const fd = openSync(file, 'r');
  try {
    act(fd);
  } finally {
    closeSync(fd);
  }
};

/** Calls back with every piece of the memory that can be read; pieces overlap, so that nothing is cut in two. */
const readMemory = (/** @type {string} */ root, /** @type {(piece: Buffer) => void} */ take) => {
  const ranges = writableRanges(readFileSync(`${root}/smaps`, 'utf8'));
  const buffer = Buffer.alloc(PIECE + 2 * PAGE);
  withFile(`${root}/mem`, (mem) =>
    withFile(`${root}/pagemap`, (pagemap) => {
      for (const range of ranges) {
        for (const { start, end } of presentRuns(pagemap, range)) {
          try {
            take(buffer.subarray(0, readSync(mem, buffer, 0, Math.min(end + PAGE, range.end) - start, start)));
          } catch {
            // Given back since the map was read.
          }
        }
      }
    }),
  );
};

/** Which of the secrets, by number, stand in the memory of a process. Throws where the system refuses to tell. */
const findInMemory = (/** @type {number} */ pid, /** @type {Buffer[]} */ secrets) => {
  const found = new Set();
  readMemory(`/proc/${pid}`, (piece) => {
    for (const [number, secret] of secrets.entries()) if (piece.includes(secret)) found.add(number);
  });
  return /** @type {number[]} */ ([...found].sort((one, other) => one - other));
};

/** @returns {number[] | 'refused' | 'gone'} */
const attempt = (/** @type {() => number[]} */ look) => {
  try {
    return look();
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code ?? '';
    return code === 'EACCES' || code === 'EPERM' ? 'refused' : 'gone';
  }
};

const scan = (/** @type {Buffer[]} */ secrets) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .map((pid) => {
      const environ = () => {
        const bytes = readFileSync(`/proc/${pid}/environ`);
        return [...secrets.keys()].filter((number) => bytes.includes(secrets[number] ?? ''));
      };
      const command = () => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      let line = '';
      try {
        line = command();
      } catch {
        // It has ended: the other two say so.
      }
      return { pid, command: line, environment: attempt(environ), memory: attempt(() => findInMemory(pid, secrets)) };
    });

const isProgram = import.meta.url === pathToFileURL(process.argv[1] ?? '').href;
if (isProgram) console.log(JSON.stringify(scan(process.argv.slice(2).map(unmask))));
