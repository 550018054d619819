import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type * as z from 'zod';
import { isProblem, parseDocument } from '../../../src/config/document.ts';
import { editText } from '../../../src/config/edit.ts';
import { parseValue } from '../../../src/config/edit-values.ts';
import { explainAll } from '../../../src/config/explain.ts';
import { maskText } from '../../../src/config/mask-text.ts';
import { migrateText } from '../../../src/config/migrate.ts';
import { type FileKind, upgradeDocument } from '../../../src/config/migrate-steps.ts';
import { configError, type Problem } from '../../../src/config/problems.ts';
import { ConfigSchema, type ConfigToml, WorkspaceSchema, type WorkspaceToml } from '../../../src/config/schema.ts';
import { validateDocument } from '../../../src/config/validate.ts';
import { readLock } from '../../../src/roles/lock-file.ts';
import { parseManifest } from '../../../src/roles/manifest.ts';
import { migrateManifest } from '../../../src/roles/migrate-role.ts';
import { promise, target, type Target } from '../target.ts';
import { fixtures, place, scratchDir } from './files.ts';

const FILE = '/c/config.toml';

/** Problems stand where the text is, and fill no screen. */
const refuse = (problems: readonly Problem[], text: string): never => {
  const lines = text.split('\n').length;
  promise(problems.every(({ line, column }) => line >= 1 && line <= lines && column >= 1), 'a problem stands outside of the text');
  const error = configError(problems);
  // oxlint-disable-next-line no-control-regex
  promise(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(error.message), 'a message holds control characters');
  promise(error.message.length < 80_000, `a message of ${error.message.length} characters`);
  throw error;
};

/** A variable that is set and removed again leaves the same value, and only its own name between. */
const editAndBack = (text: string): void => {
  const before = parseValue(text);
  const edited = editText(FILE, text, [{ path: ['env', 'FUZZ_IT'], value: 'x' }]);
  const env = parseValue(edited)['env'] as Record<string, unknown>;
  promise(env['FUZZ_IT'] === 'x', 'what was set is not there');
  const restored = parseValue(editText(FILE, edited, [{ path: ['env', 'FUZZ_IT'], value: undefined }]));
  const expected = isDeepStrictEqual(before['env'], {}) ? { ...before, env: undefined } : before;
  promise(isDeepStrictEqual({ ...restored, env: restored['env'] }, { ...expected, env: expected['env'] }), 'setting and removing has changed something else');
};

const readConfig = (kind: FileKind, schema: z.ZodType) => (input: Buffer) => {
  const text = input.toString('utf8').replace(/^\uFEFF/, '');
  const document = parseDocument(FILE, text);
  if (isProblem(document)) return refuse([document], text);
  const upgraded = upgradeDocument(kind, document);
  if (Array.isArray(upgraded)) return refuse(upgraded, text);
  const result = validateDocument(schema, upgraded.document);
  if (!result.ok) return refuse(result.problems, text);
  const loaded = { document: upgraded.document, value: result.value };
  const files = kind === 'config' ? { global: { ...loaded, value: result.value as ConfigToml }, workspace: undefined } : { global: undefined, workspace: { ...loaded, value: result.value as WorkspaceToml } };
  explainAll(files, { role: { key: 'agent-smith', origin: 'command line' }, agent: undefined, directory: kind === 'config' ? '/w' : null, home: '/h' });
  parseValue(maskText(text));
  migrateText(FILE, kind, text);
  return editAndBack(text);
};

const CONFIG_FILES = ['document', 'size', 'nul', 'validate', 'edit', 'edit-render', 'edit-text', 'edit-tree', 'edit-values', 'explain', 'mask-text', 'migrate', 'migrate-steps', 'problems'].map((name) => `src/config/${name}.ts`);

const LOCK = `version = 1
role = "a/b"
source = "https://example.test/a/b"
commit = "${'0'.repeat(40)}"
content = "abc"
construct = "def"
[agents.kimi]
version = "1.2.3"
[[agents.kimi.packages]]
name = "@a/b"
version = "1.2.3"
integrity = "sha512-AAAA"
`;

export const TOML_TARGETS: readonly Target[] = [
  target({
    name: 'config',
    covers: CONFIG_FILES,
    form: 'toml',
    seeds: () => fixtures('config', (file) => /config.*\.toml$/.test(file)),
    run: readConfig('config', ConfigSchema),
  }),
  target({
    name: 'workspace',
    covers: CONFIG_FILES,
    form: 'toml',
    seeds: () => fixtures('config', (file) => /workspace.*\.toml$/.test(file)),
    run: readConfig('workspace', WorkspaceSchema),
  }),
  target({
    name: 'manifest',
    covers: ['src/roles/manifest.ts', 'src/roles/manifest-env.ts', 'src/roles/manifest-rules.ts', 'src/roles/migrate-role.ts'],
    form: 'toml',
    seeds: () => fixtures('roles', (file) => file.endsWith('jackin.role.toml')),
    run: (input) => {
      const text = input.toString('utf8');
      migrateManifest('/r/jackin.role.toml', text);
      const { notes, files } = parseManifest('/r/jackin.role.toml', text);
      promise(notes.length <= 51 && files.every(({ file }) => !file.startsWith('/') && !file.split('/').includes('..')), 'a file outside of the role');
    },
  }),
  target({
    name: 'lock',
    count: 300,
    covers: ['src/roles/lock-file.ts', 'src/shared/read-bounded.ts'],
    form: 'toml',
    seeds: () => [LOCK],
    run: async (input) => {
      const lock = await readLock(place(path.join(scratchDir('lock'), 'jackin.lock'), input));
      promise(lock?.version === 1, 'a lock without a version');
    },
  }),
];
