import { spawn } from 'node:child_process';
import type { Deps } from '../launch/deps.ts';

/** Whether a person sits at a screen of this machine, and not at the end of a line. */
const program = ({ env, stderr }: Deps): string | undefined => {
  if (!stderr.isTTY || env.SSH_CONNECTION) return undefined;
  if (process.platform === 'darwin') return 'open';
  return env.DISPLAY || env.WAYLAND_DISPLAY ? 'xdg-open' : undefined;
};

/** Shows a page to the person, if there is a way to. The address was printed before: that it fails is no matter. */
export const openBrowser = (url: string, deps: Deps): void => {
  const opener = program(deps);
  // A server chose the address, and an opener starts a program for whatever kind it is.
  if (opener === undefined || !/^https?:\/\/[^\s]+$/.test(url)) return;
  const child = spawn(opener, [url], { stdio: 'ignore', detached: true, env: deps.env });
  child.on('error', () => undefined);
  child.unref();
};
