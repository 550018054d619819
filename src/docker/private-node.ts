/**
 * Node for the programs through which keys pass. Every session may signal them, and
 * SIGUSR1 would open Node's debugger, which shows all that they know. V8 maps a part of
 * Node a second time, which needs a readable file: otherwise each would copy 2 MB.
 */
export const PRIVATE_NODE = ['/jackin/runtime/bin/node', '--disable-sigusr1', '--no-short-builtin-calls'] as const;
