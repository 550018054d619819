import { runPull } from './pull-program.ts';

/** The program that the host's exec runs to bring new commits into a mounted repository, as the container's user. */
process.exit(await runPull(process.argv.slice(2), process));
