/**
 * What jackin knows of each agent, as data. Adding an agent is adding an entry.
 */
export type AgentSlug = 'claude' | 'codex' | 'amp' | 'kimi' | 'opencode';

export type AuthMode = 'sync' | 'api_key' | 'oauth_token' | 'ignore';

/** An npm package that is part of what the agent's volume holds. */
interface AgentPackage {
  name: string;
  /** Packages of its dependency tree that the agent runs without. */
  omit: readonly string[];
  /** Path prefixes inside the package that the agent runs without. */
  drop: readonly string[];
}

interface AgentRuntime {
  package: AgentPackage;
  /** Program and first arguments inside the container; the volume is mounted at `/jackin/agents/<slug>`. */
  command: readonly string[];
  /** Lets the agent act without asking. Left out when one of `replacedBy` is passed by hand. */
  autonomous: { flag: string; replacedBy: readonly string[]; means: string };
  /** What to tell a person about other ways to run it. */
  approvalsHint: string;
  /** Flags that take the model; the first is the one that jackin writes. */
  modelFlags: readonly [string, ...string[]];
  /** Flag that takes one prompt; such a run is unattended by itself and excludes `autonomous`. */
  promptFlag: string;
  /** Switches off what must not happen in a container: self-update, first of all. */
  env: Readonly<Record<string, string>>;
}

export interface Agent {
  slug: AgentSlug;
  name: string;
  modes: readonly AuthMode[];
  /** Well-known name of the variable that holds the key, by mode. */
  keys: Readonly<Partial<Record<AuthMode, string>>>;
  /** Directories below `/home/agent` that are durable, mounted from the instance's `home/`. */
  homes: readonly string[];
  /** Names below the handoff directory, and below `/jackin/`, under which its login is handed over. */
  handoffs: readonly string[];
  /** For agents that do nothing with a key alone: the endpoint and model that it is set up for. */
  apiKeyProvider?: { baseUrlVariable: string; baseUrl: string; model: string; contextSize: number };
  /** Undefined: known, but this version of jackin cannot start it. */
  runtime?: AgentRuntime;
}

const KIMI_ENTRY = '/jackin/agents/kimi/node_modules/@moonshot-ai/kimi-code/dist/main.mjs';

export const AGENTS: Readonly<Record<AgentSlug, Agent>> = {
  claude: {
    slug: 'claude',
    name: 'Claude Code',
    modes: ['sync', 'api_key', 'oauth_token', 'ignore'],
    keys: { api_key: 'ANTHROPIC_API_KEY', oauth_token: 'CLAUDE_CODE_OAUTH_TOKEN' },
    homes: ['.claude'],
    handoffs: ['claude'],
  },
  codex: {
    slug: 'codex',
    name: 'Codex',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'OPENAI_API_KEY' },
    homes: ['.codex'],
    handoffs: ['codex'],
  },
  amp: {
    slug: 'amp',
    name: 'Amp',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'AMP_API_KEY' },
    homes: ['.local/share/amp'],
    handoffs: ['amp'],
  },
  kimi: {
    slug: 'kimi',
    name: 'Kimi',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'KIMI_API_KEY' },
    homes: ['.kimi-code', '.kimi'],
    handoffs: ['kimi-code', 'kimi'],
    apiKeyProvider: {
      baseUrlVariable: 'KIMI_BASE_URL',
      baseUrl: 'https://api.kimi.com/coding/v1',
      model: 'kimi-for-coding',
      contextSize: 262_144,
    },
    runtime: {
      package: { name: '@moonshot-ai/kimi-code', omit: ['yargs'], drop: ['dist-web/'] },
      command: ['/jackin/runtime/bin/node', KIMI_ENTRY],
      autonomous: {
        flag: '--yolo',
        replacedBy: ['--yolo', '-y', '--auto', '--plan'],
        means: 'routine actions run unasked, risky ones still ask',
      },
      approvalsHint: '`-- --auto` never asks',
      modelFlags: ['--model', '-m'],
      promptFlag: '--prompt',
      env: { KIMI_CODE_NO_AUTO_UPDATE: '1' },
    },
  },
  opencode: {
    slug: 'opencode',
    name: 'OpenCode',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'OPENCODE_API_KEY' },
    homes: ['.local/share/opencode'],
    handoffs: ['opencode'],
  },
};

export const AGENT_SLUGS = Object.keys(AGENTS) as AgentSlug[];

export const isAgentSlug = (value: string): value is AgentSlug => Object.hasOwn(AGENTS, value);
