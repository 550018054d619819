import type { Deps } from '../launch/deps.ts';
import type { ProgressEvent, Report } from '../shared/progress.ts';

const USUAL_WIDTH = 80;
const MAX_WIDTH = 140;
const BAR = 14;
const MEGABYTE = 1e6;
/** Share of the line that the name of a part may take while it prints something. */
const NAME_SHARE = 0.5;

/** Build output may hold control sequences; they have no business on the operator's screen. */
const plain = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').trimEnd();

const cut = (text: string, width: number): string => {
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
};

const bar = (share: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR);
  return `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}]`;
};

const megabytes = (bytes: number): string => (bytes / MEGABYTE).toFixed(1);

/** How far a step is, when it says so. */
const amount = ({ done, total, stage }: ProgressEvent): string => {
  if (stage !== undefined) return `${bar((stage.number - 1) / stage.count)} ${stage.number}/${stage.count} `;
  if (done === undefined) return '';
  return total === undefined || total === 0 ? `${megabytes(done)} MB ` : `${bar(done / total)} ${megabytes(done)}/${megabytes(total)} MB `;
};

/**
 * Prints progress on stderr. On a terminal: one line that is written over, with a bar
 * where something is counted, and with what a build prints. Else: a line for whatever
 * begins, and nothing of what a build prints, since a failure shows the end of it.
 */
export const progressPrinter = (deps: Deps): { report: Report; end: () => void } => {
  const { stderr } = deps;
  const live = stderr.isTTY === true;
  let open = false;
  let last = '';
  /** The part that each step is in, and so where its output belongs. */
  const parts = new Map<string, ProgressEvent>();

  const draw = (line: string): void => {
    if (line === last) return;
    last = line;
    stderr.write(live ? `\r\u001b[K${line}` : `${line}\n`);
    open = live;
  };
  const reportLive = (event: ProgressEvent, output?: string): void => {
    const width = Math.min(MAX_WIDTH, (stderr.columns || deps.stdout.columns || USUAL_WIDTH) - 1);
    const head = `${event.step.padEnd(10)} ${amount(event)}`;
    const message = output === undefined ? plain(event.message) : cut(plain(event.message), Math.floor((width - head.length) * NAME_SHARE));
    draw(cut(`${head}${message}${output === undefined ? '' : ` | ${plain(output)}`}`, width));
  };
  const report: Report = (event) => {
    if (event.stage !== undefined) parts.set(event.step, event);
    const part = event.stage === undefined ? parts.get(event.step) : undefined;
    if (live) return part === undefined ? reportLive(event) : reportLive(part, event.message);
    if (part !== undefined) return;
    const { stage } = event;
    draw(`${event.step.padEnd(10)} ${stage === undefined ? '' : `step ${stage.number}/${stage.count} `}${plain(event.message)}`.trimEnd());
  };
  const end = (): void => {
    if (open) stderr.write('\r\u001b[K');
    open = false;
    last = '';
  };
  return { report, end };
};
