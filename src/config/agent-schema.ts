import * as z from 'zod';
import { isAccountName } from '../agents/account-name.ts';
import { AGENTS, AGENT_SLUGS, type AgentSlug, type AuthMode } from '../agents/agents.ts';
import { isOneLine } from './values.ts';

/** A place on the host that is the same wherever jackin is run. */
export const hostPath = z
  .string()
  .refine((value) => (value.startsWith('/') || value === '~' || value.startsWith('~/')) && !value.includes('\0'), {
    error: 'expected an absolute path or one that starts with ~/: a relative one would depend on where jackin is run',
  });

/** Said of every path of the host. */
export const RELATIVE = 'relative paths: they would depend on where jackin is run';

const MODE_TEXT: Record<AuthMode, string> = {
  sync: 'copies the host login',
  api_key: 'uses the key from the environment layers',
  oauth_token: 'uses the long-lived token from the environment layers',
  ignore: 'forwards nothing',
};

/** Only Kimi has logins of jackin's own: for the other agents the key is as unknown as any. */
const ownLogin = (slug: AgentSlug): { login?: z.ZodOptional<z.ZodString> } => {
  if (slug !== 'kimi') return {};
  const name = z.string().refine(isAccountName, { error: 'expected the name of a login such as "work": lower-case letters, digits, dots and dashes' });
  return {
    login: name.optional().meta({
      description: 'Login of jackin’s own to use instead of a copy of the host’s: made with `jackin login kimi --account NAME`, kept alive by the keeper.',
      otherwise: 'the host’s login is copied',
      refused: '`sync_source_dir` beside it in one table',
    }),
  };
};

const agentBlock = (slug: AgentSlug) => {
  const { modes, name } = AGENTS[slug];
  return z
    .strictObject({
      auth_forward: z
        .enum(modes as [AuthMode, ...AuthMode[]], {
          error: ({ input }) =>
            input === 'oauth_token'
              ? `auth_forward "oauth_token" is not supported for ${slug}: it is Claude's alone; use one of ${modes.join(', ')}`
              : `expected one of ${modes.map((mode) => `"${mode}"`).join(', ')}`,
        })
        .optional()
        .meta({
          description: `${modes.map((mode) => `${mode}: ${MODE_TEXT[mode]}`).join('; ')}.`,
          default: 'sync',
          ...(modes.includes('oauth_token') ? {} : { refused: '`oauth_token`, which is Claude’s alone' }),
        }),
      sync_source_dir: hostPath.optional().meta({
        description: `Directory that holds the ${name} login to copy.`,
        otherwise: 'the agent’s own',
        refused: RELATIVE,
      }),
      account: z
        .string()
        .min(1)
        .max(200)
        .refine(isOneLine, { error: 'expected one line without control characters' })
        .optional()
        .meta({
          description: `The account whose ${name} login may be copied: e-mail address or id, as \`jackin auth status\` shows it. A launch with another one is refused.`,
          otherwise: 'any account',
        }),
      ...ownLogin(slug),
    })
    .superRefine(({ login, sync_source_dir: dir }, context) => {
      if (login === undefined || dir === undefined) return;
      const message = 'login and sync_source_dir exclude each other: the one is a login of jackin’s own, the other names one of the host to copy';
      context.addIssue({ code: 'custom', path: ['login'], message });
    })
    .optional()
    .describe(`How the ${name} login reaches the container.`);
};

/** The block of each agent, the same at all three layers. */
export const agentBlocks = Object.fromEntries(AGENT_SLUGS.map((slug) => [slug, agentBlock(slug)])) as Record<
  AgentSlug,
  ReturnType<typeof agentBlock>
>;
