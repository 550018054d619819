/** What the person wants of jackin, not of the program. */
export type Command =
  | { kind: 'leave' }
  | { kind: 'next' }
  | { kind: 'previous' }
  | { kind: 'session'; number: number }
  | { kind: 'strip' };

export interface PrefixOptions {
  /** Input for the program, untouched. */
  pass: (bytes: Buffer) => void;
  command: (command: Command) => void;
  /** The prefix was pressed and a key is expected, or no longer. */
  waiting: (on: boolean) => void;
}

export interface PrefixKeys {
  push: (chunk: Buffer) => void;
  stop: () => void;
}

/** Ctrl-\ as a byte; as kitty's CSI u, with any lock keys and not as a release; as xterm's modifyOtherKeys. */
// oxlint-disable-next-line no-control-regex -- keys are control characters
const PREFIX = /^(?:\x1c|\x1b\[92(?::\d*)*;(\d+)(?::[12])?(?:;[\d:]*)?u|\x1b\[27;5;92~)/;
/** A key in kitty's or xterm's long form: its code, modifiers, and whether it was released. */
// oxlint-disable-next-line no-control-regex -- keys are control characters
const LONG_KEY = /^\x1b\[(?:(\d+)(?::\d*)*(?:;(\d*)(?::([123]))?)?(?:;[\d:]*)?u|27;(\d+);(\d+)~)/;
/** Any other sequence that a key or a mouse sends. */
// oxlint-disable-next-line no-control-regex -- keys are control characters
const OTHER_SEQUENCE = /^\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[ -Z\\-~])/;
/** What the terminal answers a program, and tells it of the focus: no key, whenever it comes. */
// oxlint-disable-next-line no-control-regex -- answers are escape sequences
const ANSWER = /^\x1b(?:[\]P_][^\x07\x1b]*(?:\x07|\x1b\\)|\[[?>][\d;:]*\$?[cnuy]|\[[IO])/;
/** What may be the beginning of a sequence that matters: the rest of it comes at once. */
// oxlint-disable-next-line no-control-regex -- keys are control characters
const CUT = /^\x1b(?:\[(?:9(?:2[:;\d]{0,24})?|2(?:7[;\d]{0,6}|0(?:[01]~?)?)?)?)?$/;
const PASTE_BEGIN = '\x1b[200~';
const PASTE_END = '\x1b[201~';
const CTRL = 4;
const LOCK_KEYS = 64 | 128;
/** The rest of a sequence that was cut comes at once; a person's Escape must not wait for longer. */
const CUT_MS = 30;
const CTRL_BACKSLASH = Buffer.from([0x1c]);

/** The protocols add one to the sum of the modifiers. */
const isCtrlAlone = (modifiers: number): boolean => ((modifiers - 1) & ~LOCK_KEYS) === CTRL;

const prefixAt = (text: string): number => {
  const found = PREFIX.exec(text);
  return found !== null && (found[1] === undefined || isCtrlAlone(Number(found[1]))) ? found[0].length : 0;
};

const commandOf = (key: string): Command | undefined => {
  if (/^[1-9]$/.test(key)) return { kind: 'session', number: Number(key) };
  switch (key) {
    case 'd':
      return { kind: 'leave' };
    case 'n':
      return { kind: 'next' };
    case 'p':
      return { kind: 'previous' };
    case 's':
      return { kind: 'strip' };
    default:
      return undefined;
  }
};

/** The first key of a text in any of its forms, and how much of the text it is. `undefined` for a key: none that has a meaning here. */
const firstKey = (text: string): { length: number; key: string | undefined } => {
  const long = LONG_KEY.exec(text);
  if (long !== null) {
    const [whole, code = long[5], , event] = long;
    return { length: whole.length, key: event === '3' ? 'released' : String.fromCodePoint(Math.min(Number(code), 0x10ffff)) };
  }
  const other = OTHER_SEQUENCE.exec(text);
  return other === null ? { length: 1, key: text[0] } : { length: other[0].length, key: undefined };
};

/**
 * Finds the prefix key in a terminal's input and what is pressed after it.
 * Everything else passes byte for byte, and nothing is looked for in what is pasted.
 */
export const prefixKeys = ({ pass, command, waiting }: PrefixOptions): PrefixKeys => {
  let held = '';
  let armed = false;
  let pasting = false;
  /** The end of what was pasted so far. */
  let pasted = '';
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const emit = (text: string) => {
    if (text !== '') pass(Buffer.from(text, 'latin1'));
  };
  const arm = (on: boolean) => {
    armed = on;
    waiting(on);
  };
  /** Takes the key after the prefix; its length. */
  const take = (text: string): number => {
    const again = prefixAt(text);
    const { length, key } = again > 0 ? { length: again, key: 'd' } : firstKey(text);
    if (key === 'released') return length;
    if (key === '?') {
      waiting(true);
      return length;
    }
    arm(false);
    if (key === '\\') pass(CTRL_BACKSLASH);
    const found = key === undefined ? undefined : commandOf(key);
    if (found?.kind === 'leave') over = true;
    if (found !== undefined) command(found);
    return length;
  };
  const work = (input: string) => {
    let text = input;
    let passed = '';
    // oxlint-disable-next-line no-unmodified-loop-condition -- a command that leaves sets it
    while (text !== '' && !over) {
      if (pasting) {
        // Nothing of it is held back, so its end may lie across two chunks.
        const seen = pasted + text;
        const end = seen.indexOf(PASTE_END);
        const length = end === -1 ? text.length : end + PASTE_END.length - pasted.length;
        pasting = end === -1;
        pasted = seen.slice(1 - PASTE_END.length);
        passed += text.slice(0, length);
        text = text.slice(length);
        continue;
      }
      if (CUT.test(text)) break;
      if (armed) {
        const [answer = ''] = ANSWER.exec(text) ?? [];
        emit(answer);
        text = text.slice(answer.length || take(text));
        continue;
      }
      const prefix = prefixAt(text);
      if (prefix > 0) {
        emit(passed);
        passed = '';
        arm(true);
        text = text.slice(prefix);
        continue;
      }
      if (text.startsWith(PASTE_BEGIN)) {
        pasting = true;
        pasted = '';
      }
      // oxlint-disable-next-line no-control-regex -- keys are control characters
      const next = text.slice(1).search(/[\x1b\x1c]/) + 1;
      const length = next === 0 ? text.length : next;
      passed += text.slice(0, length);
      text = text.slice(length);
    }
    emit(passed);
    held = over ? '' : text;
  };
  const flush = () => {
    const text = held;
    held = '';
    // An Escape after the prefix only takes it back.
    if (armed) arm(false);
    else emit(text);
  };
  return {
    stop: () => {
      over = true;
      clearTimeout(timer);
    },
    push: (chunk) => {
      if (over) return;
      clearTimeout(timer);
      // Latin-1 maps bytes to characters one to one.
      work(held + chunk.toString('latin1'));
      if (held !== '') timer = setTimeout(flush, CUT_MS);
    },
  };
};
