import { parseCredentialFile, positiveNumber, textOf } from './judge.ts';

/** What a credential file of Kimi holds; both generations write the same six keys. Holds secrets. */
export interface KimiToken {
  accessToken: string;
  /** Empty in a lease. */
  refreshToken: string;
  /** Unix time in seconds; 0 in a lease, where Kimi takes it for "never refresh". */
  expiresAt: number;
  /** Lifetime in seconds that the server gave it. */
  expiresIn: number;
  scope: string;
  tokenType: string;
}

/** The token in a credential file; undefined when it holds none that could be sent (a tombstone, half a file). */
export const parseToken = (text: string): KimiToken | undefined => {
  const parsed = parseCredentialFile(text);
  if ('broken' in parsed) return undefined;
  const { fields } = parsed;
  const accessToken = textOf(fields, 'access_token');
  if (accessToken === undefined) return undefined;
  return {
    accessToken,
    refreshToken: textOf(fields, 'refresh_token') ?? '',
    expiresAt: positiveNumber(fields['expires_at']) ?? 0,
    expiresIn: positiveNumber(fields['expires_in']) ?? 0,
    scope: textOf(fields, 'scope') ?? '',
    tokenType: textOf(fields, 'token_type') ?? 'Bearer',
  };
};

/** The text of a credential file as Kimi itself writes it. */
export const printToken = ({ accessToken, refreshToken, expiresAt, expiresIn, scope, tokenType }: KimiToken): string =>
  JSON.stringify({ access_token: accessToken, refresh_token: refreshToken, expires_at: expiresAt, scope, token_type: tokenType, expires_in: expiresIn });

/** What a container gets of a login that has one owner: enough to work, nothing to renew it with. */
export const leaseOf = (token: KimiToken): KimiToken => ({ ...token, refreshToken: '', expiresAt: 0, expiresIn: 0 });
