import type { AgentSlug } from './agents.ts';

/**
 * Who an agent is in a `Co-authored-by` line: the addresses that the agents or
 * their vendors use themselves, so that a forge shows their picture. Kimi Code
 * uses none; its vendor's is ours to choose.
 */
export const COMMIT_AUTHORS: Readonly<Record<AgentSlug, string>> = {
  claude: 'Claude <noreply@anthropic.com>',
  codex: 'Codex <codex@openai.com>',
  amp: 'Amp <amp@ampcode.com>',
  kimi: 'Kimi <noreply@moonshot.ai>',
  opencode: 'opencode-agent[bot] <opencode-agent[bot]@users.noreply.github.com>',
};
