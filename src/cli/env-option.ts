import type { LoadRequest } from '../plan/request.ts';
import { JackinError } from '../shared/errors.ts';

/** `NAME=VALUE`, with a value as in an `[env]` table; a name alone is that variable of the host. No value is shown: it may be a secret. */
export const parseEnv = async (texts: readonly string[]): Promise<LoadRequest['env']> => {
  if (texts.length === 0) return [];
  const { isReservedEnv, isVariableName } = await import('../config/schema.ts');
  return texts.map((text) => {
    const at = text.indexOf('=');
    const name = at === -1 ? text : text.slice(0, at);
    if (!isVariableName(name)) {
      const shown = at === -1 ? '' : ` ${JSON.stringify(name.slice(0, 80))}`;
      throw new JackinError('usage', `--env${shown}: not a name for an environment variable`, { hint: 'expected NAME=VALUE, or NAME alone to take it from the host' });
    }
    if (isReservedEnv(name)) throw new JackinError('usage', `--env ${name}: ${name} is reserved: jackin sets it itself`);
    // The system separates variables by NUL characters, so no value can hold one.
    if (text.includes('\0')) throw new JackinError('usage', `--env ${name}: the value holds a NUL character, which no variable can`);
    return { name, value: at === -1 ? `$${name}` : text.slice(at + 1) };
  });
};
