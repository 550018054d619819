import { isDeniedClipboard, judgeCsi, judgeDcs, judgeEscape, judgeOsc, MAX_CSI, maxString, setsColour, type Policy, type Verdict } from './guard-policy.ts';

/** One escape sequence of the program, whole. */
export type Sequence =
  | { kind: 'csi'; body: string; final: string }
  | { kind: 'escape'; text: string }
  | { kind: 'osc'; data: string }
  | { kind: 'dcs'; data: string };

export interface GuardOptions extends Policy {
  /** The program wanted to write to the clipboard, which is not allowed. Called once. */
  onDeniedClipboard?: () => void;
  /** Sees every sequence that passes, before it does; may put something in its place. */
  rewrite?: (sequence: Sequence) => Verdict;
  /** Sees every sequence that has passed; what it gives goes right behind. */
  append?: (sequence: Sequence) => string;
}

export interface Guard {
  /** What of the program's output goes to the terminal. Keeps back no more than an unfinished sequence or character. */
  push: (bytes: Buffer) => Buffer;
  /** Whether something could be written now without tearing a sequence or a character apart. */
  isBetween: () => boolean;
  /** What undoes colours of the terminal that the program has set; empty when it has not. */
  colourReset: () => string;
}

const ESC = 0x1b;
/** Bell, backspace, tab, line feeds, return, shifts. Not ENQ: a terminal answers with a text that somebody could have set. */
const PASSING_CONTROLS = new Set([0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]);
const REPLACEMENT = Buffer.from('\uFFFD');
const STRINGS: Readonly<Record<string, 'osc' | 'dcs' | 'dropped'>> = { ']': 'osc', P: 'dcs', X: 'dropped', '^': 'dropped', _: 'dropped' };

type State = 'ground' | 'escape' | 'csi' | 'osc' | 'dcs' | 'dropped';

/** How many bytes a character has, by its first; 0: it cannot be a first one. */
const lengthOf = (lead: number): number => (lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0);

/** What the second byte must be, so that no character is written longer than it needs to be, and none is beyond the last. */
const isSecond = (lead: number, byte: number): boolean => {
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= low && byte <= high;
};

/** How many bytes of a whole character that may pass begin here; 0: it is cut off, or none. */
const characterAt = (bytes: Buffer, at: number): number => {
  const lead = bytes[at]!;
  const length = lengthOf(lead);
  if (length === 0 || at + length > bytes.length || !isSecond(lead, bytes[at + 1]!) || (lead === 0xc2 && bytes[at + 1]! < 0xa0)) return 0;
  for (let next = at + 2; next < at + length; next += 1) if ((bytes[next]! & 0xc0) !== 0x80) return 0;
  return length;
};

/** The text of a string. Controls of eight bits in it would end it early for some terminals, and begin something else: they become what no rule lets pass. */
const decode = (data: string): string => Buffer.from(data, 'latin1').toString('utf8').replaceAll(/[\u0080-\u009f\ufffd]/g, '\x1b');

/**
 * Lets text and the sequences of the policy through and drops everything else, on
 * a stream in any chunks. It works on bytes, as a terminal does: what it takes for
 * text no terminal can take for a sequence.
 */
export const createGuard = (options: GuardOptions): Guard => {
  const limit = maxString(options);
  let state: State = 'ground';
  /** Bytes of the unfinished sequence after its introducer, Latin-1; of a string its data. */
  let body = '';
  let tooLong = false;
  /** In a string: an ESC was seen, which may be its end. */
  let ending = false;
  /** Bytes of an unfinished character. */
  let character: number[] = [];
  let told = false;
  let coloured = false;

  // Of the chunk that is worked on.
  let chunk: Buffer = Buffer.alloc(0);
  let out: Buffer[] = [];
  /** Where what passes as it is begins. */
  let from = 0;
  /** Where the sequence or character that is worked on begins; negative: in an earlier chunk. */
  let begin = 0;

  const cut = (at: number) => {
    if (at > from) out.push(chunk.subarray(from, at));
  };
  /** Puts a text in the place of everything from `begin` to before `end`. */
  const replace = (text: string | Buffer, end: number) => {
    cut(Math.max(0, begin));
    if (text.length > 0) out.push(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    from = end;
  };
  const pass = (whole: string, verdict: Verdict, end: number) => {
    if (verdict !== true) replace(verdict, end);
    // What began in an earlier chunk was kept back there.
    else if (begin < 0) replace(whole, end);
  };

  const dispatch = (sequence: Sequence, whole: string, judged: Verdict, wrap: (inner: string) => string, end: number) => {
    state = 'ground';
    if (judged === '') return replace('', end);
    const verdict = judged === true ? (options.rewrite?.(sequence) ?? true) : wrap(judged);
    pass(whole, verdict, end);
    const more = options.append?.(sequence) ?? '';
    if (more === '') return;
    cut(end);
    out.push(Buffer.from(more));
    from = end;
  };
  const endCsi = (final: string, end: number) => {
    const inner = body;
    const judged = tooLong ? '' : judgeCsi(inner, final);
    dispatch({ kind: 'csi', body: inner, final }, `\x1b[${inner}${final}`, judged, String, end);
  };
  const endString = (terminator: string, end: number) => {
    const kind = state;
    const data = body;
    if (kind === 'osc') {
      const text = decode(data);
      if (!told && isDeniedClipboard(text, options)) {
        told = true;
        options.onDeniedClipboard?.();
      }
      const judged = tooLong ? (text.startsWith('8;') ? '8;;' : '') : judgeOsc(text, options);
      if (judged === true && setsColour(text)) coloured = true;
      const sequence: Sequence = { kind, data: judged === true ? text : judged };
      return dispatch(sequence, `\x1b]${data}${terminator}`, judged, (inner) => `\x1b]${inner}${terminator}`, end);
    }
    if (kind === 'dcs') return dispatch({ kind, data }, `\x1bP${data}\x1b\\`, tooLong ? '' : judgeDcs(data), String, end);
    state = 'ground';
    replace('', end);
  };
  /** Gives the sequence up. What it ends with is looked at anew. */
  const abort = (end: number): false => {
    state = 'ground';
    replace('', end);
    return false;
  };
  const start = (at: number) => {
    state = 'escape';
    body = '';
    tooLong = false;
    ending = false;
    begin = at;
  };

  /** Works one byte off; false: it belongs to what comes after. */
  const inSequence = (byte: number, at: number): boolean => {
    if (byte === ESC) {
      if (state === 'osc' || state === 'dcs' || state === 'dropped') {
        if (ending) return abort(at);
        ending = true;
        return true;
      }
      return abort(at);
    }
    if (byte === 0x18 || byte === 0x1a) {
      abort(at + 1);
      return true;
    }
    if (state === 'osc' || state === 'dcs' || state === 'dropped') return inString(byte, at);
    // A terminal carries a control out where it stands, in the middle of a sequence: here it goes before it.
    if (byte < 0x20 || byte === 0x7f) {
      cut(Math.max(0, begin));
      if (PASSING_CONTROLS.has(byte)) out.push(Buffer.from([byte]));
      from = at + 1;
      begin = -1;
      return true;
    }
    if (byte >= 0x80) return abort(at);
    const text = String.fromCharCode(byte);
    if (state === 'csi') {
      if (byte >= 0x40) endCsi(text, at + 1);
      else if (body.length < MAX_CSI) body += text;
      else tooLong = true;
      return true;
    }
    if (body === '' && text === '[') state = 'csi';
    else if (body === '' && STRINGS[text] !== undefined) state = STRINGS[text];
    else if (byte < 0x30 && body.length < 3) body += text;
    else dispatch({ kind: 'escape', text: body + text }, `\x1b${body}${text}`, judgeEscape(body + text), String, at + 1);
    return true;
  };

  const inString = (byte: number, at: number): boolean => {
    if (ending) {
      if (byte === 0x5c) {
        endString('\x1b\\', at + 1);
        return true;
      }
      // Not its end, but the beginning of something else: the string is given up.
      abort(at);
      start(-1);
      return false;
    }
    if (byte === 0x07 && state === 'osc') {
      endString('\x07', at + 1);
      return true;
    }
    // Not a part of it. What passes of the string is written anew, without it.
    if (byte < 0x20 || byte === 0x7f) {
      cut(Math.max(0, begin));
      from = at + 1;
      begin = -1;
      return true;
    }
    if (body.length < limit) body += String.fromCharCode(byte);
    else tooLong = true;
    return true;
  };

  /** A byte of a character of several; false: it is none, and is looked at anew. */
  const inCharacter = (byte: number, at: number): boolean => {
    const lead = character[0]!;
    const fits = character.length === 1 ? isSecond(lead, byte) : byte >= 0x80 && byte <= 0xbf;
    if (!fits) {
      character = [];
      replace(REPLACEMENT, at);
      return false;
    }
    character.push(byte);
    if (character.length < lengthOf(lead)) return true;
    const bytes = Buffer.from(character);
    character = [];
    // Controls of eight bits: terminals take them for ESC and a letter.
    if (lead === 0xc2 && byte < 0xa0) replace('', at + 1);
    else if (begin < 0) replace(bytes, at + 1);
    return true;
  };

  const onGround = (byte: number, at: number) => {
    begin = at;
    if (byte === ESC) return start(at);
    if (byte < 0x80) {
      if (!PASSING_CONTROLS.has(byte)) replace('', at + 1);
      return;
    }
    if (lengthOf(byte) === 0) replace(REPLACEMENT, at + 1);
    else character = [byte];
  };

  return {
    isBetween: () => state === 'ground' && character.length === 0,
    colourReset: () => (coloured ? '\x1b]104\x07\x1b]110\x07\x1b]111\x07\x1b]112\x07' : ''),
    push: (bytes) => {
      chunk = bytes;
      out = [];
      from = 0;
      begin = -1;
      for (let at = 0; at < bytes.length; ) {
        const byte = bytes[at]!;
        if (state !== 'ground') {
          if (inSequence(byte, at)) at += 1;
        } else if (character.length > 0) {
          if (inCharacter(byte, at)) at += 1;
        } else {
          const length = byte < 0x80 ? 0 : characterAt(bytes, at);
          if (length === 0 && (byte < 0x20 || byte > 0x7e)) onGround(byte, at);
          at += length || 1;
        }
      }
      // What is unfinished is kept back; it is in `body` or `character`.
      cut(state === 'ground' && character.length === 0 ? bytes.length : Math.max(0, begin));
      return out.length === 1 ? out[0]! : Buffer.concat(out);
    },
  };
};
