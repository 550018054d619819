import type { SessionInfo, TerminalSize } from '../capsule/protocol.ts';
import type { Sequence } from './guard-output.ts';
import type { Verdict } from './guard-policy.ts';

/** A smaller terminal is the program's alone. */
const MIN_ROWS = 6;
const MIN_COLS = 20;
const MENU = 'd leave  n next  p previous  1-9 session  s strip  \\ sends Ctrl-\\';
const HINT = 'Ctrl-\\ keys';

export interface Strip {
  /** The size that is left for the program. */
  inner: () => TerminalSize;
  /** For the guard: keeps the program away from the last line. */
  rewrite: (sequence: Sequence) => Verdict;
  append: (sequence: Sequence) => string;
  /** What puts the line on the screen, or takes it away. */
  open: () => string;
  close: () => string;
  /** What brings the line up to date, when the program's output is between two sequences. Empty: nothing to do, or not now. */
  refresh: () => string;
  resize: (size: TerminalSize) => string;
  toggle: () => string;
  show: (change: Partial<StripContent>) => void;
  /** Another program has the terminal, which was reset for it. */
  forget: () => void;
  /** Whether a row of the terminal, from 1, is the line's. */
  holds: (row: number) => boolean;
}

interface StripContent {
  sessions: SessionInfo[];
  /** Name of the session that is shown. */
  current: string;
  /** The keys are listed, since one of them is expected. */
  menu: boolean;
  /** Something to tell, until the next key. */
  note: string;
}

/** Soft reset, and a change of width. */
const RESETS = /^(?:!p|\?(?:\d+;)*3[hl])$/;
/** Erases to the end of the screen, or all of it, as switching to the other screen does that is shown already; or fills a rectangle. */
const WIPES = /^(?:\??(?!0*1(?:[;:]|J))[\d;:]*J|\?(?:\d+;)*(?:47|1047|1049)[hl]|[\d;:]*\$[a-z{}])$/;

/** What a program has done to its terminal that drawing would spoil: then the line waits. */
const createBusy = () => {
  let screen: 'normal' | 'alternate' = 'normal';
  const saved = { normal: false, alternate: false };
  let link = false;
  let graphics = false;
  let originMode = false;
  const setMode = (mode: string, on: boolean) => {
    if (mode === '6') originMode = on;
    if (mode === '47' || mode === '1047' || mode === '1049') screen = on ? 'alternate' : 'normal';
    if (mode === '1048') saved[screen] = on;
  };
  return {
    isBusy: () => saved[screen] || link || graphics,
    originMode: () => originMode,
    screen: () => screen,
    see: (sequence: Sequence) => {
      if (sequence.kind === 'osc') {
        if (sequence.data.startsWith('8;')) link = !/^8;[^;]*;$/.test(sequence.data);
      } else if (sequence.kind === 'escape') {
        const { text } = sequence;
        if (text === '7') saved[screen] = true;
        if (text === '8') saved[screen] = false;
        if (text.startsWith('(')) graphics = text === '(0';
        if (text === 'c') {
          saved.normal = saved.alternate = link = graphics = originMode = false;
          screen = 'normal';
        }
      } else if (sequence.kind === 'csi') {
        const { body, final } = sequence;
        if (body === '' && final === 's') saved[screen] = true;
        if (body === '' && final === 'u') saved[screen] = false;
        if (body === '!' && final === 'p') saved[screen] = originMode = graphics = false;
        if (body.startsWith('?') && (final === 'h' || final === 'l')) for (const mode of body.slice(1).split(';')) setMode(mode, final === 'h');
      }
    },
  };
};

const stateOf = ({ state, code }: SessionInfo): string => (state === 'exited' ? ` exited(${code ?? '?'})` : state === 'starting' ? ' starting' : '');

/** The words of the line, as many as there is room for: who, what else there is, which keys. */
export const stripText = (instance: string, { sessions, current, menu, note }: StripContent, cols: number): string => {
  const room = cols - 1;
  const name = ` jackin ${instance} `;
  const entries = sessions.map((session, index) => `${index + 1} ${session.id}${session.id === current ? '*' : ''}${stateOf(session)}`);
  const own = entries[sessions.findIndex(({ id }) => id === current)] ?? current;
  const end = menu ? MENU : note || HINT;
  const others = menu ? [] : [[name, entries.join('  '), end], [name, entries.join('  ')]];
  // Names come from the container: nothing wide, nothing that turns the line around.
  const candidates = [...others, [name, own, end], [name, own], [own, end], [menu ? end : own]].map((parts) => parts.join(' │ ').replaceAll(/[^ -~│]/gu, '?'));
  const text = candidates.find((candidate) => candidate.length <= room) ?? candidates.at(-1)!;
  return text.slice(0, room).padEnd(room);
};

/**
 * A line at the bottom of the operator's terminal that names the instance and its
 * sessions. The program gets one row less and is kept off that row: by the scroll
 * region, and by changing the few sequences that would reach past it.
 */
export const createStrip = (instance: string, whole: TerminalSize, wanted: boolean): Strip => {
  let size = whole;
  let on = wanted;
  let drawn = '';
  const content: StripContent = { sessions: [], current: '', menu: false, note: '' };
  let busy = createBusy();
  const isShown = () => on && size.rows >= MIN_ROWS && size.cols >= MIN_COLS;
  const bottom = () => size.rows - 1;

  /** Where the program itself scrolls, of each screen. */
  let regions: Partial<Record<'normal' | 'alternate', { top: number; end: number }>> = {};
  const region = () => {
    const { top, end } = regions[busy.screen()] ?? { top: 1, end: bottom() };
    return `\x1b[${top};${end}r`;
  };
  /** Below a region that ends early a step down can reach the line: then it is drawn again and again. */
  const isShort = () => (regions[busy.screen()]?.end ?? bottom()) < bottom();
  const withCursor = (act: string) => `\x1b7${act}\x1b8`;
  const atLine = (act: string) => {
    const origin = busy.originMode();
    return `${origin ? '\x1b[?6l' : ''}\x1b[${size.rows};1H\x1b[0m${act}\x1b[0m${origin ? '\x1b[?6h' : ''}`;
  };
  const draw = (before = ''): string => {
    drawn = stripText(instance, content, size.cols);
    return withCursor(`${before}${atLine(`\x1b[2K\x1b[7m${drawn}`)}`);
  };
  /** Down and up again: where the cursor stands on the line that is taken, everything moves up by one. */
  const makeRoom = '\x1bD\x1b[1A';
  let opened = false;
  const open = () => {
    opened = isShown();
    return opened ? `${makeRoom}${draw(region())}` : '';
  };
  const close = () => {
    if (!opened) return '';
    opened = false;
    return withCursor(`\x1b[r${atLine('\x1b[2K')}`);
  };
  const change = (act: () => void): string => {
    const closed = close();
    act();
    // What the program had set was for another size.
    regions = {};
    drawn = '';
    return closed + open();
  };

  const rewrite = (sequence: Sequence): Verdict => {
    if (!isShown() || sequence.kind !== 'csi') return true;
    const { body, final } = sequence;
    if (!/^[\d;:]*$/.test(body)) return true;
    // The same step, but the scroll region ends it.
    if (final === 'e') return `\x1b[${body}B`;
    if (final === 'r') {
      const [top = '', last = ''] = body.replaceAll(/:[\d:]*/g, '').split(';');
      if (isShort()) missing ??= 'line';
      regions[busy.screen()] = { top: Number(top) || 1, end: Math.min(Number(last) || bottom(), bottom()) };
      return region();
    }
    if (final !== 'H' && final !== 'f' && final !== 'd') return true;
    // Terminals take what is before the colon.
    const [row = '', ...rest] = body.replaceAll(/:[\d:]*/g, '').split(';');
    return Number(row) > bottom() ? `\x1b[${[bottom(), ...rest].join(';')}${final}` : true;
  };
  /** Notes what a sequence does to the terminal: whether it undoes the scroll region, or may have wiped the line. */
  const see = (sequence: Sequence): 'region' | 'line' | undefined => {
    const before = busy.screen();
    busy.see(sequence);
    if (busy.screen() !== before) {
      // The other screen is a new one each time.
      delete regions.alternate;
      return 'region';
    }
    if (sequence.kind === 'escape' ? sequence.text === 'c' : sequence.kind === 'csi' && RESETS.test(sequence.body + sequence.final)) {
      regions = {};
      return 'region';
    }
    const wipes = sequence.kind === 'escape' ? sequence.text === '#8' : sequence.kind === 'csi' && WIPES.test(sequence.body + sequence.final);
    return wipes ? 'line' : undefined;
  };
  let missing: 'region' | 'line' | undefined;
  const repair = (): string => {
    if (!isShown() || busy.isBusy()) return '';
    const text = stripText(instance, content, size.cols);
    if (missing === undefined && text === drawn && !isShort()) return '';
    const again = draw(missing === 'region' ? region() : '');
    missing = undefined;
    return again;
  };
  return {
    inner: () => (isShown() ? { cols: size.cols, rows: bottom() } : size),
    rewrite,
    append: (sequence) => {
      const undone = see(sequence);
      if (undone !== undefined && missing !== 'region') missing = undone;
      return missing === undefined ? '' : repair();
    },
    open,
    close,
    refresh: repair,
    resize: (next) => change(() => (size = next)),
    toggle: () => change(() => (on = !on)),
    show: (next) => void Object.assign(content, next),
    forget: () => {
      busy = createBusy();
      regions = {};
    },
    holds: (row) => isShown() && row === size.rows,
  };
};
