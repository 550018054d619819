import type { CapsuleFailure } from './protocol.ts';

/** A request that cannot be met; what the client is told. */
export class Refusal extends Error {
  readonly code: CapsuleFailure['code'];

  constructor(code: CapsuleFailure['code'], message: string) {
    super(message);
    this.code = code;
  }
}
