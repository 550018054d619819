import { runCopy } from './copy-program.ts';

/** What the host's exec runs for `jackin cp`: a program of its own, as the container's user. */
process.exit(await runCopy(process.argv.slice(2), process));
