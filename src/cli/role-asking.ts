import type { Deps } from '../launch/deps.ts';
import type { RoleAsking } from '../launch/obtain-role.ts';
import { say } from './output.ts';
import { confirmer } from './person.ts';
import { progressPrinter } from './progress.ts';

/** How a person is asked about a role and told what takes long; a question never stands behind a line that is written over. */
export const roleAsking = (deps: Deps, input: boolean): { asking: RoleAsking; end: () => void } => {
  const { report, end } = progressPrinter(deps);
  const agree = input ? confirmer(deps) : undefined;
  const confirm =
    agree &&
    ((question: string): Promise<boolean> => {
      end();
      return agree(question);
    });
  const tell = (line: string): void => {
    end();
    say(deps, line);
  };
  return { asking: { confirm, say: tell, report }, end };
};
