import net from 'node:net';

/**
 * What the host's exec runs: a plain pipe between its own streams and the
 * capsule's socket. Starts with every attach, so it loads nothing.
 */
const WAIT_MS = 10_000;
const POLL_MS = 10;
/** After the capsule's end of the pipe, for the host to close its own. */
const GOODBYE_MS = 2000;

const at = process.argv.indexOf('--run');
const file = `${at === -1 ? '/jackin/run' : process.argv[at + 1]}/capsule.sock`;
const deadline = performance.now() + WAIT_MS;

const pipe = (socket: net.Socket): void => {
  // The socket closes when the host's side has: the capsule takes that as the receipt of everything it sent.
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
  process.stdin.on('error', () => socket.destroy());
  process.stdout.on('error', () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('end', () => setTimeout(() => socket.destroy(), GOODBYE_MS).unref());
  socket.on('close', () => process.stdin.destroy());
};

/** The container may have been started a moment ago: its socket comes when the capsule is up. */
const connect = (): void => {
  const socket = net.connect({ path: file, allowHalfOpen: true });
  const retry = (error: Error) => {
    if (performance.now() < deadline) setTimeout(connect, POLL_MS);
    else {
      process.stderr.write(`jackin: no capsule answers at ${file}: ${error.message}\n`);
      process.exitCode = 1;
    }
  };
  socket.once('error', retry);
  socket.once('connect', () => {
    socket.off('error', retry);
    pipe(socket);
  });
};

connect();
