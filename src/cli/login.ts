import { Argument, Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { isAccountName } from '../agents/account-name.ts';
import { KIMI_REGIONS, type KimiRegion } from '../agents/kimi-hosts.ts';
import type { DeviceCode } from '../auth/kimi-device-login.ts';
import type { Deps } from '../launch/deps.ts';
import type { LoggedIn, LoginRequest } from '../launch/login.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, say } from './output.ts';

/** `work`, or `kimi:work` as the other commands call it. */
const parseAccount = (text: string): string => {
  const name = text.replace(/^kimi:/, '');
  if (isAccountName(name)) return name;
  throw new InvalidArgumentError('A login is named by lower-case letters, digits, dots, dashes and underscores, such as work.');
};

const REGIONS = Object.keys(KIMI_REGIONS) as KimiRegion[];

const minutes = (seconds: number): string => `${Math.max(1, Math.round(seconds / 60))} min`;

const showCode = (deps: Deps, { userCode, url, expiresIn }: DeviceCode): void => {
  say(deps, `To log in, open ${url}`);
  say(deps, `and confirm the code ${userCode}${expiresIn === undefined ? '' : ` (good for ${minutes(expiresIn)})`}. Ctrl-C ends it; nothing is changed until it is confirmed.`);
};

const asText = ({ login, models_missing }: LoggedIn): string => {
  const name = login.login.replace(/^kimi:/, '');
  const lines = [
    `Logged in: ${login.login}${login.account === null ? '' : ` (${login.account})`}`,
    `models: ${login.models.join(', ')}`,
    `use it with \`jackin load ROLE --login ${name}\`, or with login = "${name}" in the [kimi] table of a workspace`,
  ];
  return [...lines, ...(models_missing === null ? [] : [`${models_missing}. The usual model is set up; \`jackin models kimi --login ${name} --update\` gets the list.`])].join('\n');
};

const login = async (request: LoginRequest, flags: { browser: boolean; format: Format }, { deps }: Context): Promise<void> => {
  const { logInKimi } = await import('../launch/login.ts');
  const { openBrowser } = await import('./open-browser.ts');
  const onCode = (code: DeviceCode): void => {
    showCode(deps, code);
    if (flags.browser) openBrowser(code.url, deps);
  };
  const done = await logInKimi(request, onCode, deps);
  printResult(deps, flags.format, done, () => asText(done));
};

export const loginCommand = (context: Context) =>
  new Command('login')
    .summary('make a login of jackin\u2019s own, which one keeper renews for all containers')
    .addArgument(new Argument('<agent>', 'whose login').choices(['kimi'] as const))
    .addOption(new Option('--account <name>', 'what to call it; one that is there gets a new grant').argParser(parseAccount).default('default'))
    .addOption(new Option('--region <region>', 'where the account is; without it where this login has been, else mainland-cn').choices(REGIONS))
    .option('--no-browser', 'only print the address; without a display that is done anyway')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((_agent, { account, region, browser, format }) => login({ account, region }, { browser, format }, context));
