/** What a long step tells a person while it runs. */
export interface ProgressEvent {
  /** Short and stable, such as `image` or `agent kimi`. */
  step: string;
  message: string;
  /** Bytes, when there is something to count. */
  done?: number;
  total?: number;
}

export type Report = (event: ProgressEvent) => void;
