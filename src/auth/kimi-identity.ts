import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { KIMI_CODE_VERSION } from '../agents/kimi-hosts.ts';

/** What Kimi Code tells its servers of the machine that it runs on. */
export interface MachineFacts {
  hostname: string;
  /** As `os.type()` has it: `Linux`, `Darwin`. */
  osType: string;
  osRelease: string;
  arch: string;
  /** Version of the product, such as `15.1`; only on macOS. */
  macVersion?: string;
}

const MAC_VERSION_FILE = '/System/Library/CoreServices/SystemVersion.plist';

const readMacVersion = async (): Promise<string | undefined> => {
  const text = await readFile(MAC_VERSION_FILE, 'utf8').catch(() => '');
  return /<key>ProductVersion<\/key>\s*<string>([^<]+)<\/string>/.exec(text)?.[1];
};

/** Asks this machine. */
export const readMachineFacts = async (): Promise<MachineFacts> => {
  const facts = { hostname: os.hostname(), osType: os.type(), osRelease: os.release(), arch: process.arch };
  const macVersion = facts.osType === 'Darwin' ? await readMacVersion() : undefined;
  return { ...facts, ...(macVersion !== undefined && { macVersion }) };
};

/** Header values take nothing else; a host may well be named in another alphabet. */
const asHeader = (value: string): string => value.replaceAll(/[^\x20-\x7e]/g, '').trim() || 'unknown';

/**
 * The headers with which Kimi Code says who it is. Only for logins of jackin's own,
 * with their own device id: a forwarded login would get a second device by them.
 */
export const identityHeaders = ({ deviceId, hostname, osType, osRelease, arch, macVersion }: MachineFacts & { deviceId: string }): Record<string, string> => ({
  'User-Agent': `kimi-code-cli/${KIMI_CODE_VERSION}`,
  'X-Msh-Platform': 'kimi_code_cli',
  'X-Msh-Version': KIMI_CODE_VERSION,
  'X-Msh-Device-Name': asHeader(hostname),
  'X-Msh-Device-Model': asHeader(`${macVersion === undefined ? `${osType} ${osRelease}` : `macOS ${macVersion}`} ${arch}`),
  'X-Msh-Os-Version': asHeader(osRelease),
  'X-Msh-Device-Id': asHeader(deviceId),
});
