import type { AgentSlug } from '../agents/agents.ts';
import type { ExplainInput } from '../config/explain.ts';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import type { Place } from '../launch/place.ts';
import { chooser } from './person.ts';

/** Which launch a question is about. */
export interface ViewFlags {
  workspace?: string | undefined;
  role?: string | undefined;
  agent?: AgentSlug | undefined;
  /** Whether questions may be asked. */
  input: boolean;
}

export interface View {
  place: Place;
  /** What the explanations need to know. */
  about: ExplainInput;
  /** The same for JSON. */
  data: Record<string, unknown>;
  /** The same for a person, as rows of a table. */
  rows: string[][];
}

const versionOf = (document: { value: Record<string, unknown> } | undefined): string | null => (document?.value.version as string | undefined) ?? null;

/** Reads the files that a launch here, or in the named workspace, would read. `command` is what is running, for hints. */
export const openView = async ({ workspace, role: named, agent, input }: ViewFlags, command: string, deps: Deps): Promise<View> => {
  const { findPlace } = await import('../launch/place.ts');
  const { resolveRole } = await import('../config/resolve.ts');
  const target = workspace === undefined ? { kind: 'current' as const, path: deps.cwd } : { kind: 'workspace' as const, name: workspace };
  const place = await findPlace(target, locatePaths(deps), deps, input ? chooser(deps) : undefined, (name) => `jackin ${command} --workspace ${name}`);
  const decided = resolveRole(place.files)?.value;
  const key = named ?? decided;
  const role: ExplainInput['role'] = key === undefined ? undefined : { key, origin: named === undefined ? 'workspace' : 'command line' };
  const documents = [place.files.global?.document, place.files.workspace?.document].filter((document) => document !== undefined);
  const files = documents.map((document) => ({ file: document.file, version: versionOf(document) }));
  return {
    place,
    about: { role, agent, directory: place.directory, home: deps.home },
    data: { workspace: place.workspace, directory: place.directory, role: key ?? null, agent: agent ?? null, files },
    rows: [
      ['workspace', place.workspace ?? `none is saved for ${place.directory}`],
      ['role', key ?? 'none: the layers of roles say nothing'],
      ['files', files.length === 0 ? 'none: the defaults apply' : files.map(({ file, version }) => `${file} (${version ?? 'no version'})`).join(', ')],
    ],
  };
};
