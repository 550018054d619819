import { setTimeout as delay } from 'node:timers/promises';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { DownloadLimits } from './download-limits.ts';

const CHECK_ACCESS = "check the registry and its access in npm's configuration (npm config ls)";
const CHECK_NETWORK = "check the network, and registry and proxy in npm's configuration (npm config ls). What is cached already starts offline";
const CHECK_PROXY = 'try again; if it happens again, the registry or a proxy on the way is broken';
const TRY_LATER = 'try again later. What is cached already starts offline';

/** What a server did wrong in the middle of a download. The code decides what a person is told, and whether it is tried again. */
export type Fault = 'ECUT' | 'ESILENT' | 'EMORE' | 'ENONSENSE' | 'EHUGE' | 'EINTEGRITY';

export const fault = (code: Fault, message: string): Error => Object.assign(new Error(message), { code });

const property = (error: unknown, name: string): unknown => (error instanceof Error ? Reflect.get(error, name) : undefined);

/** npm's client has a code for what the system says, and a type for what it says itself. */
const codeOf = (error: unknown): string => {
  const code = property(error, 'code');
  const known = code === 'FETCH_ERROR' ? property(error, 'type') : code;
  return typeof known === 'string' ? known : '';
};

const statusOf = (error: unknown): number | undefined => {
  const status = property(error, 'statusCode');
  return typeof status === 'number' ? status : undefined;
};

/** Milliseconds that the answer asks to wait; undefined when it does not say. */
const retryAfter = (error: unknown): number | undefined => {
  const headers = property(error, 'headers');
  const value = headers !== null && typeof headers === 'object' ? String(Reflect.get(headers, 'retry-after') ?? '') : '';
  return /^\d{1,6}$/.test(value) ? Number(value) * 1000 : undefined;
};

const PASSING_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const SILENT_CODES = ['ESILENT', 'ETIMEDOUT', 'ECONNECTIONTIMEOUT', 'EIDLETIMEOUT', 'ERESPONSETIMEOUT', 'ETRANSFERTIMEOUT', 'request-timeout', 'body-timeout'];
const PASSING_CODES = new Set(['ECUT', 'ECONNRESET', 'EPIPE', 'EAI_AGAIN', ...SILENT_CODES]);

/** How long to wait before the next try, in milliseconds; undefined when another one would be no use. */
export const pauseAfter = (error: unknown, failures: number, limits: DownloadLimits): number | undefined => {
  const status = statusOf(error);
  const passes = status === undefined ? PASSING_CODES.has(codeOf(error)) : PASSING_STATUS.has(status);
  const asked = retryAfter(error) ?? 0;
  if (!passes || failures > limits.retries || asked > limits.patienceMs) return undefined;
  return Math.max(asked, limits.pauseMs * 2 ** (failures - 1));
};

/** Runs it again after faults that pass, a bounded number of times. */
export const patiently = async <T>(run: () => Promise<T>, limits: DownloadLimits, signal: AbortSignal | undefined): Promise<T> => {
  for (let failures = 1; ; failures += 1) {
    try {
      return await run();
    } catch (error) {
      const pause = signal?.aborted ? undefined : pauseAfter(error, failures, limits);
      if (pause === undefined) throw error;
      await delay(pause, undefined, { signal });
    }
  }
};

const TLS = /CERT|^UNABLE_TO_|SELF_SIGNED|^ERR_TLS|^ERR_SSL|^EPROTO$/;

const ofStatus = (status: number, error: unknown): [string, string] => {
  const asked = retryAfter(error);
  if (status === 401) return ['wants a login (HTTP status 401)', "log in with `npm login`, or check the token in npm's configuration (npm config ls)"];
  if (status === 403) return ['refuses it (HTTP status 403)', CHECK_ACCESS];
  if (status === 404) return ['does not have it', CHECK_ACCESS];
  if (status === 429) return [`is asked too often (HTTP status 429)${asked === undefined ? '' : `, and wants ${asked / 1000} s of rest`}`, TRY_LATER];
  return [`answered with HTTP status ${status}`, status >= 500 ? TRY_LATER : CHECK_ACCESS];
};

const ofCode = (code: string, error: unknown): [string, string] => {
  if (code === 'EINTEGRITY') return ['did not send what its SHA-512 promises. Nothing of it is used', CHECK_PROXY];
  if (code === 'invalid-json') return ['did not answer in JSON: what stands there may be no registry, but a page to log in to a network', CHECK_NETWORK];
  if (['EMORE', 'ENONSENSE', 'EHUGE'].includes(code)) return [`${messageOf(error)}. Nothing of it is used`, CHECK_PROXY];
  if (['ECUT', 'ECONNRESET', 'EPIPE'].includes(code)) return ['broke the connection again and again. Nothing of it is used', CHECK_NETWORK];
  if (SILENT_CODES.includes(code)) return ['went silent, and every new try did. Nothing of it is used', CHECK_NETWORK];
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return [`cannot be found: its name has no address (${code})`, CHECK_NETWORK];
  if (TLS.test(code)) return [`has a certificate that is not trusted here (${code})`, "name your certificates in npm's configuration (cafile), or in NODE_EXTRA_CA_CERTS"];
  return [`cannot be reached (${code || messageOf(error)})`, CHECK_NETWORK];
};

/** Says in one sentence what went wrong with a registry, and what to do. `host` is its host and port. */
export const registryFailure = (what: string, error: unknown, host: string, signal: AbortSignal | undefined): JackinError => {
  if (error instanceof JackinError) return error;
  if (signal?.aborted) return new JackinError('interrupted', `${what}: interrupted`, { cause: error });
  const status = statusOf(error);
  const [sentence, hint] = status === undefined ? ofCode(codeOf(error), error) : ofStatus(status, error);
  return new JackinError('download.failed', `${what}: the npm registry (${host}) ${sentence}`, { hint, cause: error });
};
