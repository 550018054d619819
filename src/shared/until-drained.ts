interface Draining {
  destroyed?: boolean;
  on: (event: 'drain' | 'close', listener: () => void) => unknown;
  off: (event: 'drain' | 'close', listener: () => void) => unknown;
}

/** Until the stream takes more, or nobody reads it any more. Leaves no listener behind: a long copy waits very often. */
export const untilDrained = async (stream: Draining): Promise<void> => {
  if (stream.destroyed) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      stream.off('drain', go);
      stream.off('close', go);
      resolve();
    };
    stream.on('drain', go);
    stream.on('close', go);
  });
};
