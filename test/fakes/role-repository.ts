import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A git repository with a role in it, made with the real git. */
export interface RoleRepository {
  dir: string;
  git: (...args: string[]) => string;
  write: (file: string, text: string, mode?: number) => void;
  /** Commits everything and returns the commit. */
  commit: (message: string) => string;
}

export const MANIFEST = 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n\n[kimi]\n';
export const DOCKERFILE = 'FROM projectjackin/construct:trixie\n';

const IDENTITY = { GIT_AUTHOR_NAME: 'Ann Author', GIT_AUTHOR_EMAIL: 'ann@example.test', GIT_COMMITTER_NAME: 'Ann Author', GIT_COMMITTER_EMAIL: 'ann@example.test' };

/** Nothing of this machine's git settings has a say. */
export const gitEnv = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', ...IDENTITY };

export const makeRoleRepository = (dir: string, files: Record<string, string> = {}): RoleRepository => {
  const git = (...args: string[]): string => execFileSync('git', ['-C', dir, '-c', 'core.fsmonitor=false', ...args], { env: gitEnv, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  const write: RoleRepository['write'] = (file, text, mode) => {
    const full = path.join(dir, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, text);
    if (mode !== undefined) chmodSync(full, mode);
  };
  const commit = (message: string): string => {
    git('add', '--all', '--force');
    git('commit', '--quiet', '--allow-empty', '--message', message);
    return git('rev-parse', 'HEAD');
  };
  mkdirSync(dir, { recursive: true });
  git('init', '--quiet', '--initial-branch', 'main');
  for (const [name, text] of Object.entries({ 'jackin.role.toml': MANIFEST, Dockerfile: DOCKERFILE, 'README.md': 'A role.\n', ...files })) write(name, text);
  commit('First version');
  return { dir, git, write, commit };
};
