/** What a long step tells a person while it runs. */
export interface ProgressEvent {
  /** Short and stable, such as `image` or `agent kimi`. */
  step: string;
  message: string;
  /** Bytes, when there is something to count. */
  done?: number;
  total?: number;
  /** Part of the step that begins, or goes on; what comes without one afterwards is what that part prints. */
  stage?: { number: number; count: number };
}

export type Report = (event: ProgressEvent) => void;
