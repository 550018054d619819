import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { type CopyReport, newTally } from '../shared/copied.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import { notExposed } from '../shared/find-place.ts';
import { packTree } from '../shared/pack-tree.ts';
import { identitiesAbove, identityOf } from '../shared/same-place.ts';
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
 * One copy, inside: `in APART TARGET [NAME]` takes a tree from stdin, `out APART SOURCE`
 * writes one to stdout. `APART` is what the host's side is: the source itself, or the
 * target and all above it. What came of it is the last line of stderr, a {@link CopyReport}. The
 * result is the exit code.
 */
export const runCopy = async (argv: readonly string[], { stdin, stdout, stderr }: CopyStreams): Promise<number> => {
  const [direction, apart = '', where = '', name] = argv;
  const report: CopyReport = newTally();
  try {
    const inSource = direction === 'in' ? identitiesAbove(where).includes(apart) : apart.split(',').includes(identityOf(where) ?? 'none');
    // Through a mount that both sides share, the copy would be read again and again.
    if (inSource) throw new JackinError('conflict', 'the target is inside of what is to be copied');
    if (direction === 'in') await unpackTree(stdin, { target: where, name, exposure: notExposed() }, report.copied);
    else {
      const tar = pack();
      // A host that has gone closes its end: nothing else would ever stop a program that writes into a full pipe.
      const gone = (): void => tar.destroy(new Error('the host has left'));
      stdin.resume().once('end', gone).once('error', gone);
      const packed = packTree({ source: where, exposure: notExposed() }, tar, report);
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
