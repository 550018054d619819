/**
 * Node for the programs through which keys pass. Every session may signal them, and
 * SIGUSR1 would open Node's debugger, which shows all that they know.
 */
export const PRIVATE_NODE = ['/jackin/runtime/bin/node', '--disable-sigusr1'] as const;
