import type { Decision } from '../config/layers.ts';
import { trimTail } from '../shared/trim.ts';

/** Owner of the roles that have no namespace. */
const HOME_NAMESPACE = 'jackin-project';

export interface RoleSource {
  url: string;
  /** False: nobody has named it, it follows from the role's key. */
  configured: boolean;
}

/** Where a role comes from by convention: `namespace/name` is the repository `jackin-name` of that owner. */
const conventionalUrl = (key: string): string => {
  const [namespace, name] = key.includes('/') ? (key.split('/') as [string, string]) : [HOME_NAMESPACE, key];
  return `https://github.com/${namespace}/jackin-${name}.git`;
};

/** Where a role comes from: what the configuration says, else the convention. */
export const sourceOf = (key: string, git: Decision<string> | string | undefined): RoleSource => {
  const configured = typeof git === 'object' ? git.value : git;
  return configured === undefined ? { url: conventionalUrl(key), configured: false } : { url: configured, configured: true };
};

const comparable = (url: string): string => trimTail(url, '/').replace(/\.git$/, '');

/** Whether two addresses mean the same repository, whatever their spelling. */
export const isSameSource = (one: string, other: string): boolean => comparable(one) === comparable(other);

/** A branch as git allows it, and never an option of git. */
export const isBranchName = (name: string): boolean =>
  /^[A-Za-z0-9_][\w./+@#-]{0,199}$/.test(name) && !/\.\.|\/\/|\/\.|@\{|\.lock(\/|$)|[./]$/.test(name) && name !== 'HEAD';
