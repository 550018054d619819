/**
 * What of a program's escape sequences reaches the operator's terminal. The
 * program is not trusted: what is not on these lists is dropped. The table in
 * docs/sessions.md says the same for people; docs/adr/0014 says why.
 */

/** What becomes of a sequence: `true` passes as it is, a text goes in its place, an empty one drops it. */
export type Verdict = true | string;

export interface Policy {
  /** Whether a program may put something on the operator's clipboard. */
  allowClipboard: boolean;
}

const DROP: Verdict = '';

/** Reports of sizes, and the title's stack. All others move windows, or have the title typed into the program. */
const WINDOW_OPERATIONS = new Set(['14', '16', '18', '22', '23']);
const MAX_CSI_PARAMETERS = 32;

/** `body` is what stands between `ESC [` and the final byte. */
export const judgeCsi = (body: string, final: string): Verdict => {
  // In another order terminals ignore it, or not.
  if (!/^[0-?]*[ -/]*$/.test(body)) return DROP;
  if (final === 't') return WINDOW_OPERATIONS.has(body.split(';', 1)[0] ?? '') || DROP;
  // Media copy prints on paper; checksums tell what else is on the screen.
  if (final === 'i' || (final === 'y' && body.includes('*'))) return DROP;
  // A line of the terminal's own, which would take what is written after it.
  if (body.endsWith('$') && (final === '}' || final === '~')) return DROP;
  return body.split(/[;:]/, MAX_CSI_PARAMETERS + 1).length <= MAX_CSI_PARAMETERS || DROP;
};

/** Cursor, keypad, tabs, index, reset, single shifts, character sets, and nothing that changes the encoding. */
const ESCAPES = /^(?:[78=>cDEHMNO]|#[3-68]|%G|[()*+][0-9A-Za-z<>]|[()*+]["%&][0-9]?[A-Za-z0-9?])$/;

/** `text` is what follows `ESC`. */
export const judgeEscape = (text: string): Verdict => ESCAPES.test(text) || DROP;

const MAX_TITLE = 256;
const MAX_NOTICE = 512;
const MAX_LINK = 2048;
const MAX_CLIPBOARD = 100 * 1024;

const LINK = new RegExp(`^8;[\\x20-\\x3a\\x3c-\\x7e]{0,256};(?:(?:https?://|mailto:)[\\x21-\\x7e]{1,${MAX_LINK}})?$`);
/** The end of a link: in the place of one that must not be, so that what follows is not a part of the one before. */
const LINK_END = '8;;';
const CLIPBOARD_WRITE = new RegExp(`^52;[cpqs0-7]{0,8};[A-Za-z0-9+/=]{0,${Math.ceil((MAX_CLIPBOARD * 4) / 3) + 4}}$`);
// Of a character, bytes: a title may be in any script.
const TITLE = new RegExp(`^[012];[^\\x00-\\x1f\\x7f]{0,${MAX_TITLE}}$`);
const COLOUR = /^(?:4|10|11|12|104|110|111|112)(?:;[\x20-\x7e]{0,256})?$/;
// Of OSC 9 with a number only progress: with other numbers one terminal runs programs and macros.
const NOTICE = new RegExp(`^(?:9(?!;\\d+(?:;|$))|9(?=;4;)|99|777;notify);[^\\x00-\\x1f\\x7f]{0,${MAX_NOTICE}}$`);
const PROMPT_MARK = /^133;[A-D][\x20-\x7e]{0,128}$/;

/** `data` is what stands between `ESC ]` and its end, as text. */
export const judgeOsc = (data: string, { allowClipboard }: Policy): Verdict => {
  if (data.startsWith('8;')) return LINK.test(data) || LINK_END;
  if (data.startsWith('52;')) return (allowClipboard && CLIPBOARD_WRITE.test(data)) || DROP;
  return TITLE.test(data) || COLOUR.test(data) || NOTICE.test(data) || PROMPT_MARK.test(data) || DROP;
};

/** Whether a program wanted to write to the clipboard and may not. */
export const isDeniedClipboard = (data: string, { allowClipboard }: Policy): boolean => !allowClipboard && /^52;[^;]*;[^?]/.test(data);

/** Whether it changes a colour of the terminal itself, which stays until it is undone. */
export const setsColour = (data: string): boolean => /^(?:4|10|11|12);/.test(data) && !/^(?:4;\d+|1[012]);\?$/.test(data);

/** Questions about settings and capabilities that editors ask; the answers have fixed forms. */
const QUESTIONS = /^(?:\$q(?:m|r|s|t| q|"p|"q)|\+q[0-9A-Fa-f;]{1,256})$/;

/** `data` is what stands between `ESC P` and its end. */
export const judgeDcs = (data: string): Verdict => QUESTIONS.test(data) || DROP;

/** Longer strings are dropped whole, whatever they are. */
export const maxString = ({ allowClipboard }: Policy): number => (allowClipboard ? Math.ceil((MAX_CLIPBOARD * 4) / 3) + 64 : 4096);
export const MAX_CSI = 256;
