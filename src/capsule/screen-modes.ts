import type { Terminal } from '@xterm/headless';

/**
 * Private modes that the serializer leaves out, with what holds after a reset:
 * the cursor is shown; mouse encodings and colour scheme reports are off. A
 * viewer without them sees a stray cursor or sends mouse reports that the
 * program cannot read.
 */
const DEFAULT_ON = 25;
const TRACKED = new Set([DEFAULT_ON, 1005, 1006, 1015, 1016, 2031]);

/** How the program wants keys to be told; the kitty protocol keeps a stack for each of the two screens. */
interface KeyboardState {
  kitty: { normal: number[]; alternate: number[] };
  modifyOtherKeys: number;
}

const MAX_STACK = 16;

/** Watches a screen model for modes that its serializer does not write; `before` and `after` go around what it writes. */
export const trackModes = (terminal: Terminal): { before(): string; after(): string } => {
  let changed = new Set<number>();
  let keyboard: KeyboardState = freshKeyboard();
  const stack = () => keyboard.kitty[terminal.buffer.active.type];
  const on = (id: { prefix?: string; intermediates?: string; final: string }, note: (params: number[]) => void) =>
    terminal.parser.registerCsiHandler(id, (params) => {
      note(params.map((param) => (Array.isArray(param) ? (param[0] ?? 0) : param)));
      // The model itself handles the sequence as well.
      return false;
    });
  const setModes = (params: number[], on_: boolean) => {
    for (const mode of params.filter((param) => TRACKED.has(param))) {
      if (on_ === (mode === DEFAULT_ON)) changed.delete(mode);
      else changed.add(mode);
    }
  };
  on({ prefix: '?', final: 'h' }, (params) => setModes(params, true));
  on({ prefix: '?', final: 'l' }, (params) => setModes(params, false));
  on({ prefix: '>', final: 'u' }, ([flags = 0]) => stack().push(flags) > MAX_STACK && stack().shift());
  on({ prefix: '<', final: 'u' }, ([count = 1]) => stack().splice(-Math.max(1, count)));
  on({ prefix: '=', final: 'u' }, ([flags = 0, how = 1]) => {
    const current = stack().pop() ?? 0;
    stack().push(how === 2 ? current | flags : how === 3 ? current & ~flags : flags);
  });
  on({ prefix: '>', final: 'm' }, ([resource = 4, value = 0]) => {
    if (resource === 4) keyboard.modifyOtherKeys = value;
  });
  on({ intermediates: '!', final: 'p' }, () => changed.delete(DEFAULT_ON));
  terminal.parser.registerEscHandler({ final: 'c' }, () => {
    changed = new Set();
    keyboard = freshKeyboard();
    return false;
  });
  const pushes = (flags: number[]) => flags.map((value) => `\x1b[>${value}u`).join('');
  return {
    before: () => pushes(keyboard.kitty.normal),
    after: () =>
      (terminal.buffer.active.type === 'alternate' ? pushes(keyboard.kitty.alternate) : '') +
      (keyboard.modifyOtherKeys === 0 ? '' : `\x1b[>4;${keyboard.modifyOtherKeys}m`) +
      [...changed].map((mode) => `\x1b[?${mode}${mode === DEFAULT_ON ? 'l' : 'h'}`).join(''),
  };
};

const freshKeyboard = (): KeyboardState => ({ kitty: { normal: [], alternate: [] }, modifyOtherKeys: 0 });
