/** Where Kimi's servers are, and who asks them. */

export const KIMI_REGIONS = {
  'mainland-cn': { oauthHost: 'https://auth.kimi.com', baseUrl: 'https://api.kimi.com/coding/v1' },
  global: { oauthHost: 'https://auth.kimi.ai', baseUrl: 'https://api.kimi.ai/coding/v1' },
} as const;

export type KimiRegion = keyof typeof KIMI_REGIONS;

/** An OAuth server and the API that its tokens are for. No trailing slashes. */
export interface KimiHosts {
  oauthHost: string;
  baseUrl: string;
}

/** Public, without a secret; the same in both regions. */
export const KIMI_CLIENT_ID = '17e5f671-d194-4dfb-9706-5516cb48c098';

/** The Kimi Code whose protocol jackin speaks. */
export const KIMI_CODE_VERSION = '2.1.0';
