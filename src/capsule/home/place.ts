/** Where one agent's login stands in the container. */
export interface Place {
  slug: string;
  /** The agent user's home. */
  home: string;
  /** Durable notes of the instance, without secrets. */
  state: string;
  /** The agent's directory below the home, on whose mount sets are exchanged. */
  dir: string;
  /** Directories below the home in which a crash may leave half-written files; the `deep` ones with everything below them. */
  written: readonly { dir: string; deep?: boolean }[];
}
