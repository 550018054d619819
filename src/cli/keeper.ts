import { Command } from '@commander-js/extra-typings';
import { locatePaths } from '../config/paths.ts';
import type { KeptLogin } from '../keeper/keeper-status.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { printResult, say, table } from './output.ts';

const statusCommand = ({ deps }: Context) =>
  new Command('status')
    .summary('tell whether it runs, and what it keeps for whom')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action(async ({ format }) => {
      const { keeperStatus } = await import('../keeper/ask-keeper.ts');
      const status = await keeperStatus(locatePaths(deps));
      printResult(deps, format, status === undefined ? { running: false } : { running: true, ...status }, () => {
        if (status === undefined) return 'the keeper does not run; a launch that needs it starts it';
        const head = `keeper ${status.pid}, since ${status.started_at}`;
        if (status.logins.length === 0) return `${head}: nobody holds a login`;
        const row = (login: KeptLogin): string[] => [
          `kimi:${login.account}`,
          login.state,
          login.expires_at ?? '-',
          login.next_refresh_at ?? '-',
          login.refreshed_at ?? '-',
          login.holders.join(' ') || '-',
        ];
        const troubles = status.logins.flatMap(({ why }) => why ?? []);
        return [head, table([['LOGIN', 'STATE', 'ACCESS UNTIL', 'NEXT RENEWAL', 'LAST RENEWAL', 'HELD BY'], ...status.logins.map(row)]), ...troubles].join('\n');
      });
    });

const runCommand = ({ deps }: Context) =>
  new Command('run')
    .summary('be the keeper, here and until Ctrl-C; launches start one by themselves')
    .addOption(asksNothing())
    .action(async () => {
      const { runKeeper } = await import('../keeper/run-keeper.ts');
      const log = (line: string): void => say(deps, `${deps.now().toISOString()} ${line}`);
      const paths = locatePaths(deps);
      const { env, uid, signal } = deps;
      if ((await runKeeper({ paths, env, uid, untilIdle: false, log, signal })) === 'already') log('another keeper runs already');
    });

const stopCommand = ({ deps }: Context) =>
  new Command('stop')
    .summary('end the keeper; refused while instances hold a login')
    .option('--force', 'end it all the same: what runs works until its access ends')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action(async ({ force = false, format }) => {
      const { connectKeeper } = await import('../keeper/ask-keeper.ts');
      const line = await connectKeeper(locatePaths(deps));
      try {
        await line?.ask({ op: 'stop', force });
        await line?.ended;
      } finally {
        line?.close();
      }
      printResult(deps, format, { stopped: line !== undefined }, () => (line === undefined ? 'the keeper does not run' : 'the keeper has ended'));
    });

export const keeperCommand = (context: Context) =>
  new Command('keeper')
    .summary('the process that renews jackin’s own logins and hands them to the instances')
    .addCommand(statusCommand(context))
    .addCommand(runCommand(context))
    .addCommand(stopCommand(context));
