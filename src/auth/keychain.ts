import { messageOf, JackinError } from '../shared/errors.ts';

/** macOS may ask the person at the screen, who needs a moment. */
const TIMEOUT_MS = 60_000;
/** What `security` ends with when there is no such item. */
const NOT_FOUND = 44;

/**
 * The secret of a service in the macOS Keychain, through `security`; undefined when
 * there is none. Throws `auth.missing` when the Keychain does not give it out.
 */
export const readKeychain = async (service: string, program = 'security'): Promise<string | undefined> => {
  const { execa } = await import('execa');
  try {
    const { stdout } = await execa(program, ['find-generic-password', '-s', service, '-w'], { stdin: 'ignore', timeout: TIMEOUT_MS });
    return stdout === '' ? undefined : stdout;
  } catch (error) {
    const { exitCode, stderr } = error as { exitCode?: number; stderr?: string };
    if (exitCode === NOT_FOUND) return undefined;
    const said = stderr?.split('\n')[0]?.slice(0, 200) || messageOf(error).split('\n')[0];
    throw new JackinError('auth.missing', `the Keychain item "${service}" cannot be read: ${said}`, {
      hint: 'unlock the Keychain and agree when macOS asks, or name a directory with sync_source_dir',
    });
  }
};
