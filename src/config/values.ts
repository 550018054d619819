import { trimTail } from '../shared/trim.ts';

/** Forms of single values. Kept apart from the schema, whose library is not worth loading for a `--help`. */

/** `name` or `namespace/name`. `jk-` is kept for containers, so that a selector is never mistaken for one. */
const ROLE_KEY = /^(?!jk-)[a-z0-9][a-z0-9-]{0,63}(\/[a-z0-9][a-z0-9-]{0,63})?$/;
export const isRoleKey = (value: string): boolean => ROLE_KEY.test(value);

/** A name that stays inside the workspaces folder and can be typed back from a listing. */
export const isWorkspaceName = (name: string): boolean =>
  /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name) && !name.includes('..');

/** Whether a text can stand in one line. Where more is legal, as in the value of a variable, only NUL is refused. */
export const isOneLine = (value: string): boolean => !/\p{Cc}/u.test(value);

const hasDots = (value: string): boolean => value.split('/').some((part) => part === '.' || part === '..');

/** Absolute, without a part that leads somewhere else. */
export const isContainerPath = (value: string): boolean => value.startsWith('/') && !hasDots(value) && !value.includes('\0');

export const withoutTrailingSlash = (value: string): string => (value.length > 1 ? trimTail(value, '/') || '/' : value);

/** Whether `outer` is `inner` or one of its parents. */
export const contains = (outer: string, inner: string): boolean => {
  const parent = withoutTrailingSlash(outer);
  const child = withoutTrailingSlash(inner);
  return parent === child || child.startsWith(parent === '/' ? '/' : `${parent}/`);
};

/** Whether a workdir equals a mount, lies inside it, or is a parent of it. */
export const touches = (workdir: string, target: string): boolean => contains(target, workdir) || contains(workdir, target);
