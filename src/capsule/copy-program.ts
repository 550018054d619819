import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { type CopyReport, newTally } from '../shared/copied.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import { packTree } from '../shared/pack-tree.ts';
import { unpackTree } from '../shared/unpack-tree.ts';

export interface CopyStreams {
  stdin: Readable;
  stdout: Writable;
  stderr: Writable;
}

const failureOf = (error: unknown): CopyReport['failed'] => ({
  code: error instanceof JackinError ? error.code : 'failed',
  message: messageOf(error),
});

/**
 * One copy, inside: `in TARGET [NAME]` takes a tree from stdin, `out SOURCE` writes one
 * to stdout. What came of it is the last line of stderr, a {@link CopyReport}. The
 * result is the exit code.
 */
export const runCopy = async (argv: readonly string[], { stdin, stdout, stderr }: CopyStreams): Promise<number> => {
  const [direction, where = '', name] = argv;
  const report: CopyReport = newTally();
  try {
    if (direction === 'in') await unpackTree(stdin, { target: where, name }, report.copied);
    else {
      const tar = pack();
      // A host that has gone closes its end: nothing else would ever stop a program that writes into a full pipe.
      const gone = (): void => tar.destroy(new Error('the host has left'));
      stdin.resume().once('end', gone).once('error', gone);
      const packed = packTree(where, tar, report);
      // The reading side says why; the pipe then only says that it was closed.
      await Promise.all([packed, pipeline(tar, stdout).catch(async (error: unknown) => await packed.then(() => Promise.reject(error)))]);
      stdin.off('end', gone);
    }
  } catch (error) {
    report.failed = failureOf(error);
  }
  await new Promise<void>((resolve) => void stderr.write(`${JSON.stringify(report)}\n`, () => resolve()));
  return report.failed === undefined ? 0 : 1;
};
