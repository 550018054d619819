import { Command } from '@commander-js/extra-typings';
import type { OwnLoginView } from '../launch/own-logins.ts';
import { asksNothing, type Context, formatOption, noInputOption, parseLogin } from './options.ts';
import { type Format, printResult, say, table } from './output.ts';
import { assertAgreed } from './person.ts';

/** Nobody has to do anything about an access token that is over. */
const stateWords = ({ state }: OwnLoginView): string => (state === 'expired-refreshable' ? 'renewed at next use' : state);

const when = (iso: string | null): string => (iso === null ? '-' : iso.replace(/\.\d+Z$/, 'Z'));

const listText = (views: OwnLoginView[]): string => {
  if (views.length === 0) return 'no logins of jackin\u2019s own; make one with `jackin login kimi`';
  const rows = views.map((view) => [view.login, view.account ?? '-', view.region ?? view.oauth_host ?? '-', stateWords(view), when(view.access_until), when(view.refreshed_at), String(view.holders.length)]);
  return table([['login', 'account', 'region', 'state', 'access until', 'last renewed', 'containers'], ...rows]);
};

const showText = (view: OwnLoginView): string =>
  table([
    ['login', view.login],
    ['account', view.account ?? 'the token does not tell'],
    ['region', view.region ?? 'other hosts than Kimi\u2019s own'],
    ['hosts', `${view.oauth_host ?? '-'}, ${view.base_url ?? '-'}`],
    ['state', `${stateWords(view)}: ${view.why}`],
    ['access until', when(view.access_until)],
    ['last renewed', when(view.refreshed_at)],
    ['containers', view.holders.length === 0 ? 'none' : view.holders.join(', ')],
    ['models', view.models.join(', ') || '-'],
    ['default model', view.default_model ?? '-'],
    ['directory', view.dir],
  ]);

const list = async (format: Format, { deps }: Context): Promise<void> => {
  const { describeOwnLogins } = await import('../launch/own-logins.ts');
  const logins = await describeOwnLogins(deps);
  printResult(deps, format, { logins }, () => listText(logins));
};

const show = async (account: string, format: Format, { deps }: Context): Promise<void> => {
  const { describeOwnLogin } = await import('../launch/own-logins.ts');
  const view = await describeOwnLogin(account, deps);
  printResult(deps, format, view, () => showText(view));
};

/** What it means for whoever still has a token. */
const afterwards = ({ holders, access_until }: OwnLoginView): string => {
  const until = access_until === null ? 'its end' : access_until;
  const held = holders.length === 0 ? '' : `${holders.join(', ')} can work with the access token they have until ${until}, and no longer. `;
  return `${held}Kimi itself was told nothing, as there is no way to: end the grant on the page of your account, among its devices.`;
};

interface Removal {
  yes: boolean;
  force: boolean;
  input: boolean;
  format: Format;
}

const remove = async (account: string, { yes, force, input, format }: Removal, { deps }: Context): Promise<void> => {
  const { describeOwnLogin, forgetOwnLogin } = await import('../launch/own-logins.ts');
  const { holders, login } = await describeOwnLogin(account, deps);
  // Nobody is asked about what would be refused anyway.
  if (holders.length === 0 && !force) await assertAgreed(`Remove ${login}? Only logging in again brings it back.`, { yes, input }, deps);
  const removed = await forgetOwnLogin(account, force, deps);
  printResult(deps, format, { removed: removed.login, holders: removed.holders, access_until: removed.access_until }, () => `Removed ${removed.login}`);
  say(deps, afterwards(removed));
};

const listCommand = (context: Context) =>
  new Command('list')
    .summary('print the logins of jackin\u2019s own: whose they are, whether they work, who holds them; asks no network')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action(({ format }) => list(format, context));

const showCommand = (context: Context) =>
  new Command('show')
    .summary('print all that is known of one')
    .argument('<name>', 'login, such as kimi:work or work', parseLogin)
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((name, { format }) => show(name, format, context));

const removeCommand = (context: Context) =>
  new Command('remove')
    .summary('remove one from this machine; refused while containers hold it')
    .argument('<name>', 'login, such as kimi:work or work', parseLogin)
    .option('--yes', 'without asking')
    .option('--force', 'without asking, and while containers hold it')
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((name, { yes = false, force = false, input, format }) => remove(name, { yes, force, input, format }, context));

export const loginsCommand = (context: Context) =>
  new Command('logins')
    .summary('logins of jackin\u2019s own: list, show, remove')
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(removeCommand(context));
