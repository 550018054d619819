import { judgeAmp } from './amp-login.ts';
import { accountMetadata, claudeKeychainService, judgeClaude } from './claude-login.ts';
import { judgeCodex } from './codex-login.ts';
import type { FileLogin } from './login-form.ts';
import { judgeOpencode } from './opencode-login.ts';

/**
 * What jackin knows of each agent, as data. Adding an agent is adding an entry.
 */
export type AgentSlug = 'claude' | 'codex' | 'amp' | 'kimi' | 'opencode';

export type AuthMode = 'sync' | 'api_key' | 'oauth_token' | 'ignore';

/** What an agent's volume holds: an npm package, or the one that it names for the machine. */
export interface AgentPackage {
  name: string;
  /** Packages of its dependency tree that the agent runs without. */
  omit: readonly string[];
  /** Path prefixes inside the package that the agent runs without; they count after `strip`. */
  drop: readonly string[];
  /**
   * For agents that come as a program: the optional dependency of the package that
   * holds it, by architecture. Its content is the whole volume; nothing else of the
   * package is used.
   */
  platform?: {
    x64: string;
    arm64: string;
    /** For x64 processors without AVX2. */
    x64Baseline?: string;
    /** Leading directories that are left out, as `vendor/*`: one path in the container for every architecture. */
    strip?: string;
  };
}

/**
 * How the agent is run. In arguments, `{model}` and `{arguments}` stand for what may
 * be there of them, `{mode}` for those of the way of logging in, `{prompt}` for the
 * text of a prompt, and `{workdir}` for the directory in which it starts, as a TOML
 * string.
 */
interface AgentRuntime {
  package: AgentPackage;
  /** Program and first arguments inside the container; the volume is mounted at `/jackin/agents/<slug>`. */
  command: readonly string[];
  /** Arguments of a session with a person: what answers questions of the first start, and does not decide what may be done. */
  interactive: readonly string[];
  /** Arguments that a way of logging in needs, in the place of `{mode}`. */
  modeArguments?: Readonly<Partial<Record<AuthMode, readonly string[]>>>;
  /** Let the agent act without asking. Left out when one of `replacedBy` is passed by hand. */
  autonomous: { args: readonly string[]; replacedBy: readonly string[]; means: string };
  /** What to tell a person about other ways to run it; empty when there is nothing to say. */
  approvalsHint: string;
  /** Flags that take the model; the first is the one that jackin writes. */
  modelFlags: readonly [string, ...string[]];
  /** Arguments of a run of one prompt, unattended. */
  oneShot: readonly string[];
  /** Without a login a run of one prompt would wait for one that nobody can give. */
  oneShotNeedsLogin?: true;
  /** Switches off what must not happen in a container: self-update, first of all. */
  env: Readonly<Record<string, string>>;
  /** Variables that hold a key in a session with a person, by well-known name: under that one the agent would ask whether it may use it. */
  keyAliases?: Readonly<Record<string, string>>;
}

export interface Agent {
  slug: AgentSlug;
  name: string;
  /** What a person runs on the host to log in. */
  loginCommand: string;
  modes: readonly AuthMode[];
  /** Well-known name of the variable that holds the key, by mode. */
  keys: Readonly<Partial<Record<AuthMode, string>>>;
  /** Directories below `/home/agent` that are durable, mounted from the instance's `home/`. The first holds the login, and is where it is on the host as well. */
  homes: readonly [string, ...string[]];
  /** Variable that moves the first of them, and what the agent appends to it. `always`: it is set even to the usual place. */
  homeVariable: { name: string; below: string; always?: true };
  /** Names below the handoff directory, and below `/jackin/`, under which its login is handed over. */
  handoffs: readonly [string, ...string[]];
  /** Its login, where that is one file; Kimi's has a form of its own. */
  login?: FileLogin;
  /** For agents that do nothing with a key alone: the endpoint and model that it is set up for. */
  apiKeyProvider?: { baseUrlVariable: string; baseUrl: string; model: string; contextSize: number };
  runtime: AgentRuntime;
}

const KIMI_ENTRY = '/jackin/agents/kimi/node_modules/@moonshot-ai/kimi-code/dist/main.mjs';

const CLAUDE_SETTINGS = { skipDangerousModePermissionPrompt: true };
const CLAUDE_KEY_ALIAS = 'JACKIN_ANTHROPIC_API_KEY';

/**
 * A trusted folder and a new version are not asked about. A snapshot of the shell would
 * write every variable of the session into a file, keys among them.
 */
const CODEX_SETTINGS = ['check_for_update_on_startup=false', 'projects={{workdir}={trust_level="trusted"}}', 'features.shell_snapshot=false'].flatMap((setting) => ['-c', setting]);

const CODEX_PROVIDER = '{name="OpenAI",base_url="https://api.openai.com/v1",env_key="OPENAI_API_KEY",wire_api="responses"}';

export const AGENTS: Readonly<Record<AgentSlug, Agent>> = {
  claude: {
    slug: 'claude',
    name: 'Claude Code',
    loginCommand: 'claude auth login',
    modes: ['sync', 'api_key', 'oauth_token', 'ignore'],
    keys: { api_key: 'ANTHROPIC_API_KEY', oauth_token: 'CLAUDE_CODE_OAUTH_TOKEN' },
    homes: ['.claude'],
    // Without it, a file of the login would lie beside the directory, where no mount can be.
    homeVariable: { name: 'CLAUDE_CONFIG_DIR', below: '', always: true },
    handoffs: ['claude'],
    login: {
      file: '.credentials.json',
      handoff: 'credentials.json',
      judge: judgeClaude,
      account: { file: '.claude.json', usual: '.claude.json', handoff: 'account.json', pick: accountMetadata },
      keychainService: claudeKeychainService,
    },
    runtime: {
      package: {
        name: '@anthropic-ai/claude-code',
        omit: [],
        drop: [],
        platform: { x64: '@anthropic-ai/claude-code-linux-x64', arm64: '@anthropic-ai/claude-code-linux-arm64' },
      },
      command: ['/jackin/agents/claude/claude'],
      interactive: ['--settings', '{mode}'],
      modeArguments: {
        sync: [JSON.stringify(CLAUDE_SETTINGS)],
        oauth_token: [JSON.stringify(CLAUDE_SETTINGS)],
        ignore: [JSON.stringify(CLAUDE_SETTINGS)],
        api_key: [JSON.stringify({ ...CLAUDE_SETTINGS, apiKeyHelper: `printenv ${CLAUDE_KEY_ALIAS}` })],
      },
      autonomous: {
        args: ['--dangerously-skip-permissions'],
        replacedBy: ['--dangerously-skip-permissions', '--permission-mode'],
        means: 'never asks',
      },
      approvalsHint: '`-- --permission-mode plan` plans first',
      modelFlags: ['--model'],
      oneShot: ['--dangerously-skip-permissions', '{model}', '{arguments}', '--print', '--', '{prompt}'],
      env: { DISABLE_AUTOUPDATER: '1' },
      keyAliases: { ANTHROPIC_API_KEY: CLAUDE_KEY_ALIAS },
    },
  },
  codex: {
    slug: 'codex',
    name: 'Codex',
    loginCommand: 'codex login',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'OPENAI_API_KEY' },
    homes: ['.codex'],
    homeVariable: { name: 'CODEX_HOME', below: '' },
    handoffs: ['codex'],
    login: { file: 'auth.json', handoff: 'auth.json', judge: judgeCodex },
    runtime: {
      package: {
        name: '@openai/codex',
        omit: [],
        drop: ['codex-resources/voice/'],
        platform: { x64: '@openai/codex-linux-x64', arm64: '@openai/codex-linux-arm64', strip: 'vendor/*' },
      },
      command: ['/jackin/agents/codex/bin/codex'],
      interactive: [...CODEX_SETTINGS, '{mode}'],
      // By itself Codex does nothing with the variable; this provider reads it, and the key is in no file.
      modeArguments: { api_key: ['-c', 'model_provider="jackin"', '-c', `model_providers.jackin=${CODEX_PROVIDER}`] },
      autonomous: {
        args: ['--dangerously-bypass-approvals-and-sandbox'],
        replacedBy: ['--dangerously-bypass-approvals-and-sandbox', '--yolo', '--ask-for-approval', '-a', '--approve-for-me', '--sandbox', '-s'],
        means: 'never asks',
      },
      approvalsHint: '`-- --ask-for-approval on-request` asks',
      modelFlags: ['--model', '-m'],
      oneShot: [
        'exec',
        '--dangerously-bypass-approvals-and-sandbox',
        '--skip-git-repo-check',
        ...CODEX_SETTINGS,
        '{mode}',
        '{model}',
        '{arguments}',
        '--',
        '{prompt}',
      ],
      env: {},
    },
  },
  amp: {
    slug: 'amp',
    name: 'Amp',
    loginCommand: 'amp login',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'AMP_API_KEY' },
    homes: ['.local/share/amp'],
    homeVariable: { name: 'XDG_DATA_HOME', below: 'amp' },
    handoffs: ['amp'],
    login: { file: 'secrets.json', handoff: 'secrets.json', judge: judgeAmp },
    runtime: {
      package: {
        name: '@ampcode/cli',
        omit: [],
        drop: [],
        platform: { x64: '@ampcode/cli-linux-x64', arm64: '@ampcode/cli-linux-arm64' },
      },
      command: ['/jackin/agents/amp/amp'],
      interactive: [],
      autonomous: { args: ['--dangerously-allow-all'], replacedBy: ['--dangerously-allow-all'], means: 'never asks' },
      approvalsHint: '',
      modelFlags: ['--mode', '-m'],
      oneShot: ['--dangerously-allow-all', '{model}', '{arguments}', '--execute={prompt}'],
      oneShotNeedsLogin: true,
      env: { AMP_SKIP_UPDATE_CHECK: '1' },
    },
  },
  kimi: {
    slug: 'kimi',
    name: 'Kimi',
    loginCommand: 'kimi login',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'KIMI_API_KEY' },
    homes: ['.kimi-code', '.kimi'],
    homeVariable: { name: 'KIMI_CODE_HOME', below: '' },
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
      interactive: [],
      autonomous: {
        args: ['--yolo'],
        replacedBy: ['--yolo', '-y', '--auto', '--plan'],
        means: 'routine actions run unasked, risky ones still ask',
      },
      approvalsHint: '`-- --auto` never asks',
      modelFlags: ['--model', '-m'],
      oneShot: ['{model}', '--prompt', '{prompt}', '{arguments}'],
      env: { KIMI_CODE_NO_AUTO_UPDATE: '1' },
    },
  },
  opencode: {
    slug: 'opencode',
    name: 'OpenCode',
    loginCommand: 'opencode auth login',
    modes: ['sync', 'api_key', 'ignore'],
    keys: { api_key: 'OPENCODE_API_KEY' },
    homes: ['.local/share/opencode'],
    homeVariable: { name: 'XDG_DATA_HOME', below: 'opencode' },
    handoffs: ['opencode'],
    login: { file: 'auth.json', handoff: 'auth.json', judge: judgeOpencode },
    runtime: {
      package: {
        name: 'opencode-ai',
        omit: [],
        drop: [],
        platform: { x64: 'opencode-linux-x64', arm64: 'opencode-linux-arm64', x64Baseline: 'opencode-linux-x64-baseline' },
      },
      command: ['/jackin/agents/opencode/bin/opencode'],
      interactive: [],
      autonomous: { args: ['--auto'], replacedBy: ['--auto'], means: 'asks only what the configuration denies' },
      approvalsHint: '',
      modelFlags: ['--model', '-m'],
      oneShot: ['run', '--auto', '{model}', '{arguments}', '--', '{prompt}'],
      env: { OPENCODE_DISABLE_AUTOUPDATE: '1' },
    },
  },
};

/** The one that is started when nothing else decides. */
export const FIRST_AGENT: AgentSlug = 'kimi';

export const AGENT_SLUGS = Object.keys(AGENTS) as AgentSlug[];

export const isAgentSlug = (value: string): value is AgentSlug => Object.hasOwn(AGENTS, value);
