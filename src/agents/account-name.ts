/** What a login of jackin's own may be called: a directory of its own on every system, and one word of a command line. */
export const isAccountName = (name: string): boolean => /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(name) && !name.includes('..');
