import { createHash } from 'node:crypto';
import type { LoginVerdict } from './login-form.ts';

/** What the judges of the agents' credential files have in common. */

export type Table = Record<string, unknown>;

export const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

/** The table under `key`, or an empty one when there is none. */
export const tableOf = (parent: Table, key: string): Table => {
  const value = Object.hasOwn(parent, key) ? parent[key] : undefined;
  return isTable(value) ? value : {};
};

/** The non-empty string under `key`, if there is one. */
export const textOf = (table: Table, key: string): string | undefined => {
  const value = Object.hasOwn(table, key) ? table[key] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
};

export const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

export const dead = (why: string): LoginVerdict => ({ state: 'dead', refreshable: false, why });

export const positiveNumber = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined;

/** Payload of a JWT, unverified; empty when the token is something else. */
export const jwtPayload = (token: string): Table => {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return isTable(payload) ? payload : {};
  } catch {
    return {};
  }
};

/** Accounts end up in terminals and JSON: printable characters only, and not many of them. */
export const accountName = (value: unknown): string | undefined => {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '';
  return text.replaceAll(/[^\p{L}\p{N}\p{P}\p{S}]/gu, '').slice(0, 100) || undefined;
};

/** The object that a credential file holds, or why it is no credential. */
export const parseCredentialFile = (text: string): { fields: Table } | { broken: LoginVerdict } => {
  if (text.trim() === '') return { broken: dead('is empty') };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { broken: dead('is not valid JSON, as if it had been cut off') };
  }
  return isTable(value) ? { fields: value } : { broken: dead('holds no JSON object') };
};

/** A token with an end: live until then, and after it only worth what its refresh token is. `expiresAt` in seconds. */
export const judgeTerm = (
  login: { refreshable: boolean; account?: string | undefined; expiresAt?: number | undefined },
  now: Date,
): LoginVerdict => {
  const { refreshable, account, expiresAt } = login;
  const facts = { refreshable, ...(account !== undefined && { account }), ...(expiresAt !== undefined && { expiresAt }) };
  if (expiresAt === undefined || expiresAt * 1000 > now.getTime()) return { state: 'live', ...facts, why: 'is live' };
  return refreshable
    ? { state: 'expired-refreshable', ...facts, why: 'has expired and can be refreshed' }
    : { state: 'dead', ...facts, why: 'has expired and cannot be refreshed' };
};
