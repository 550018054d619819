import type { Target } from './target.ts';
import { LOGIN_TARGETS } from './targets/logins.ts';
import { PULL_TARGETS } from './targets/pulls.ts';
import { STATE_TARGETS } from './targets/state.ts';
import { STREAM_TARGETS } from './targets/streams.ts';
import { TOML_TARGETS } from './targets/toml.ts';

/** Every parser of what others wrote. */
export const TARGETS: readonly Target[] = [...TOML_TARGETS, ...STATE_TARGETS, ...LOGIN_TARGETS, ...PULL_TARGETS, ...STREAM_TARGETS];
