/** Directories of the container that setting up the home works on. */
export interface HomeRoots {
  /** The agent's home; its durable parts are mount points below it. */
  home: string;
  /** What the host hands over, read-only; `current` is the set that counts. */
  handoff: string;
  /** Durable notes of the instance, without secrets. */
  state: string;
  /** The home as the role's image brings it. */
  defaultHome: string;
}
