const MEBIBYTE = 1024 * 1024;

/** How patient a download is, and how big its result may become. */
export interface DownloadLimits {
  /** For the first byte of an answer, and between two of a body. */
  silenceMs: number;
  /** How often what breaks is begun again before it is given up; a download that gets on counts anew. */
  retries: number;
  /** Before the first of them; doubled for each further one. */
  pauseMs: number;
  /** The longest wait that a registry may ask for. */
  patienceMs: number;
  tarballBytes: number;
  /** Several times what the biggest agent has: a tarball that holds more was made to fill a disk. */
  unpackedBytes: number;
  entries: number;
}

export const DOWNLOAD_LIMITS: DownloadLimits = {
  silenceMs: 30_000,
  retries: 3,
  pauseMs: 500,
  patienceMs: 30_000,
  tarballBytes: 1024 * MEBIBYTE,
  unpackedBytes: 2048 * MEBIBYTE,
  entries: 100_000,
};
