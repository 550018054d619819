import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Terminal } from '../../../src/docker/terminal.ts';

export interface FakeTerminal extends Terminal {
  input: PassThrough & { setRawMode: (on: boolean) => void };
  output: PassThrough & { columns: number; rows: number };
  /** What happened to raw mode. */
  raw: boolean[];
  /** Everything written to it. */
  shown: () => string;
  signals: EventEmitter;
}

/** A terminal without a screen, 100 by 30, and a source of signals. */
export const fakeTerminal = (): FakeTerminal => {
  const raw: boolean[] = [];
  const input = Object.assign(new PassThrough(), { setRawMode: (on: boolean) => void raw.push(on) });
  const output = Object.assign(new PassThrough(), { columns: 100, rows: 30 });
  const chunks: Buffer[] = [];
  output.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { input, output, raw, shown: () => Buffer.concat(chunks).toString('latin1'), signals: new EventEmitter() };
};
