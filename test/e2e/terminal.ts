import pty from '@lydell/node-pty';
import xterm from '@xterm/headless';

export interface Terminal {
  /** What a person would see now, without trailing blanks. */
  screen(): string;
  type(text: string): void;
  resize(cols: number, rows: number): void;
  /** Exit code of the program. */
  ended: Promise<number>;
  close(): void;
}

/** Runs a program in a real pseudo-terminal, with a screen model that answers it as a terminal would. */
export const openTerminal = (
  program: string,
  args: string[],
  options: { cwd: string; env: Record<string, string | undefined>; cols?: number; rows?: number },
): Terminal => {
  const { cols = 100, rows = 30, cwd, env } = options;
  const model = new xterm.Terminal({ cols, rows, allowProposedApi: true });
  const child = pty.spawn(program, args, { name: 'xterm-256color', cols, rows, cwd, env });
  const ended = new Promise<number>((resolve) => {
    child.onExit(({ exitCode, signal }) => resolve(signal ? 128 + signal : exitCode));
  });
  child.onData((data) => model.write(data));
  model.onData((answer) => child.write(answer));

  return {
    screen() {
      const { active } = model.buffer;
      const lines = Array.from({ length: model.rows }, (_, row) =>
        active.getLine(active.viewportY + row)?.translateToString(true),
      );
      return lines.join('\n').trimEnd();
    },
    type: (text) => child.write(text),
    resize(newCols, newRows) {
      model.resize(newCols, newRows);
      child.resize(newCols, newRows);
    },
    ended,
    close() {
      try {
        child.kill('SIGKILL');
      } catch {
        // It has ended already.
      }
      model.dispose();
    },
  };
};
