import type { Edit } from '../config/edit.ts';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { keepEditorSchema } from './editor-schema.ts';
import { type Format, printResult } from './output.ts';

interface Saving {
  /** Name of the workspace whose file is changed; undefined means config.toml. */
  workspace: string | undefined;
  /** The edits, from what the file holds at that moment. */
  change: (current: Record<string, unknown>) => readonly Edit[];
  /** For a person: what is now so. Never a secret. */
  done: string;
  /** The same when it was so before. */
  unchanged: string;
  /** For JSON, beside the file and whether it changed. */
  data: Record<string, unknown>;
}

/** Changes one configuration file and prints what came of it. */
export const saveAndPrint = async ({ workspace, change, done, unchanged, data }: Saving, format: Format, deps: Deps): Promise<void> => {
  const { editFile } = await import('../config/edit.ts');
  const target = workspace === undefined ? { kind: 'config' as const } : { kind: 'workspace' as const, name: workspace };
  const { file, changed } = await editFile(locatePaths(deps), target, change);
  if (changed) await keepEditorSchema(file, workspace === undefined ? 'config' : 'workspace', deps);
  printResult(deps, format, { ...data, file, changed }, () => `${changed ? done : unchanged} (${file})`);
};
