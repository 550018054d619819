import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isProblem, parseDocument } from '../../../src/config/document.ts';
import { namesOf, parseTree } from '../../../src/config/edit-tree.ts';
import { isTable, parseValue, type Table } from '../../../src/config/edit-values.ts';
import { type MigratedText, migrateText } from '../../../src/config/migrate.ts';
import { ConfigSchema, WorkspaceSchema } from '../../../src/config/schema.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { table, tomlTextOf, value } from './toml-documents.ts';

const RUNS = process.env.JACKIN_TEST_FULL ? 5_000 : 200;
const LONG = 300_000;
const FIXTURES = path.resolve(import.meta.dirname, '../../fixtures/config');
const OLD = ['legacy', 'v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4', 'v1alpha5'];

type Kind = 'config' | 'workspace';

const fixture = (kind: Kind, version: string): string => readFileSync(path.join(FIXTURES, kind, `${version}.toml`), 'utf8');

const migrate = (kind: Kind, text: string): MigratedText => {
  const result = migrateText(`/c/${kind}.toml`, kind, text);
  if (result === 'current') throw new Error('nothing was migrated');
  return result;
};

const messageOf = (kind: Kind, text: string): string => {
  try {
    migrateText('/c/file.toml', kind, text);
  } catch (error) {
    if (error instanceof JackinError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
};

const plain = (text: string): string => text.replace(/^\uFEFF/, '');
const commentsOf = (text: string): string[] => parseTree(plain(text)).comments.map(({ value: words }) => words.trim());

const problemsOf = (kind: Kind, text: string): unknown[] => {
  const document = parseDocument('/c/x.toml', text);
  if (isProblem(document)) return [document];
  const result = (kind === 'config' ? ConfigSchema : WorkspaceSchema).safeParse(document.value);
  return result.success ? [] : result.error.issues;
};

describe.each(['config', 'workspace'] as const)('a %s file', (kind) => {
  it.each(OLD)('of version %s becomes a valid one of the newest, with every comment', async (version) => {
    const before = fixture(kind, version);
    const { from, text, workspaces } = migrate(kind, before);
    expect(from).toBe(version);
    await expect(text).toMatchFileSnapshot(path.join(FIXTURES, 'migrated', `${kind}-${version}.toml`));
    expect(problemsOf(kind, text)).toEqual([]);
    for (const part of workspaces) {
      await expect(part.text).toMatchFileSnapshot(path.join(FIXTURES, 'migrated', `${kind}-${version}.${part.name}.toml`));
      expect(problemsOf('workspace', part.text)).toEqual([]);
      expect(migrateText('/c/w.toml', 'workspace', part.text)).toBe('current');
    }
    const after = [text, ...workspaces.map((part) => part.text)].flatMap(commentsOf);
    expect(commentsOf(before).filter((comment) => !after.includes(comment))).toEqual([]);
    expect(migrateText('/c/x.toml', kind, text)).toBe('current');
  });

  it('of the newest version is left alone', () => {
    expect(migrateText('/c/x.toml', kind, fixture(kind, 'v1alpha6'))).toBe('current');
  });

  it.each(OLD.slice(1))('takes every step from %s on', (version) => {
    // What legacy files may hold comes out the same from wherever the walk begins.
    const legacy = fixture(kind, 'legacy').replace(kind === 'workspace' && version === 'v1alpha5' ? /op_account.*\n/ : '', '');
    const stamped = migrate(kind, `version = "${version}"\n${legacy}`);
    expect(stamped.from).toBe(version);
    expect(parseValue(stamped.text)).toEqual(parseValue(migrate(kind, legacy).text));
    expect(stamped.workspaces).toEqual(migrate(kind, legacy).workspaces);
  });

  it('keeps CRLF and the byte order mark', () => {
    const text = `\uFEFF${fixture(kind, 'legacy').replaceAll('\n', '\r\n')}`;
    const after = migrate(kind, text);
    expect(after.text.startsWith('\uFEFFversion = "v1alpha6"\r\n')).toBe(true);
    for (const part of [after.text, ...after.workspaces.map((one) => one.text)]) expect(part.replaceAll('\r\n', '')).not.toContain('\n');
  });

  it.each([
    ['newer', 'version = "v1alpha7"', /:2:1: version: version "v1alpha7" is not one that this jackin understands \(the newest it knows is v1alpha6\): update jackin/],
    ['a newer beta', 'version = "v1beta1"', /"v1beta1" is not one that this jackin understands/],
    ['a newer stable one', 'version = "v2"', /"v2" is not one that this jackin understands/],
    ['older than all', 'version = "v1alpha0"', /there is no way from version "v1alpha0"/],
    ['no version', 'version = "latest"', /version: expected a text such as "v1alpha6"/],
    ['called legacy', 'version = "legacy"', /version: expected a text such as "v1alpha6"/],
    ['a number', 'version = 6', /version: expected a text/],
  ])('is refused when its version is %s', (_, line, message) => {
    expect(messageOf(kind, `# mine\n${line}\n`)).toMatch(message);
  });
});

describe('op_account', () => {
  it('that is no text is refused with its place', () => {
    expect(messageOf('workspace', 'version = "v1alpha4"\nworkdir = "/a"\n  op_account = ["a"]\n')).toMatch(/file\.toml:3:3: op_account: expected a text/);
    expect(messageOf('config', '[workspaces.app]\nop_account = 1\n')).toMatch(/file\.toml:2:1: op_account: expected a text/);
  });

  it('means nothing any more in a file that is past it', () => {
    expect(migrate('workspace', 'version = "v1alpha5"\nop_account = "x"\n').text).toBe('version = "v1alpha6"\nop_account = "x"\n');
  });
});

describe('workspaces in config.toml', () => {
  const split = (text: string) => Object.fromEntries(migrate('config', text).workspaces.map((part) => [part.name, part.text.replace(/^#:schema .*\n/, '')]));

  it('come out of every way in which they can be written', () => {
    const expected = { app: { version: 'v1alpha6', workdir: '/a', env: { A: '1' }, mounts: [{ src: '/a', dst: '/a' }] } };
    for (const text of [
      '[workspaces.app]\nworkdir = "/a"\nenv.A = "1"\nmounts = [{ src = "/a", dst = "/a" }]\n',
      '[workspaces.app.env]\nA = "1"\n[[workspaces.app.mounts]]\nsrc = "/a"\ndst = "/a"\n[workspaces.app]\nworkdir = "/a"\n',
      '[workspaces]\napp.workdir = "/a"\napp.env.A = "1"\napp.mounts = [{ src = "/a", dst = "/a" }]\n',
      '[workspaces]\napp = { workdir = "/a", env = { A = "1" }, mounts = [{ src = "/a", dst = "/a" }] }\n',
      'workspaces = { app = { workdir = "/a", env = { A = "1" }, mounts = [{ src = "/a", dst = "/a" }] } }\n',
      'workspaces.app.workdir = "/a"\nworkspaces."app".env = { A = "1" }\n[[workspaces.app.mounts]]\nsrc = "/a"\ndst = "/a"\n',
    ]) {
      expect({ text, parts: Object.fromEntries(Object.entries(split(text)).map(([name, part]) => [name, parseValue(part)])) }).toEqual({ text, parts: expected });
      expect(migrate('config', text).text).toBe('version = "v1alpha6"\n');
    }
  });

  it('take the comments around them along', () => {
    expect(split('# about app\n[workspaces.app] # mine\n# where\nworkdir = "/a"\n\n# t\n[workspaces.app.env] # e\nA = "1"\n# end\n\n# about kimi\n[kimi]\n').app).toBe(
      'version = "v1alpha6"\n\n# about app\n# mine\n# where\nworkdir = "/a"\n\n# t\n[env] # e\nA = "1"\n# end\n',
    );
  });

  it('that cannot be files are refused with their place', () => {
    expect(messageOf('config', '[workspaces."../evil"]\nworkdir = "/a"\n')).toMatch(/:1:2: "\.\.\/evil" cannot be the name of a workspace file/);
    expect(messageOf('config', 'workspaces.app = 1\n')).toMatch(/:1:12: workspaces\.app: expected a table/);
    expect(messageOf('config', 'workspaces = 1\n')).toMatch(/:1:1: workspaces: expected tables/);
  });
});

describe('migrating any document', () => {
  const version = fc.constantFrom(undefined, 'v1alpha1', 'v1alpha3', 'v1alpha4', 'v1alpha5');
  const secret = fc.oneof(fc.constantFrom<Table>({ op: 'op://a/b' } as Table, { op: 'op://a/b', account: 'mine', path: 'p' } as Table), fc.constantFrom('op://x/y', 'plain', '$HOST'));
  const env = fc.dictionary(fc.constantFrom('A', 'B', 'c d'), secret as fc.Arbitrary<string>, { maxKeys: 3, noNullPrototype: true });
  const withKeys = (account: boolean) =>
    fc.record(
      {
        x: value,
        op_account: account ? fc.constant('acme') : fc.constant(undefined as never),
        env,
        github: fc.record({ env, auth_forward: fc.constant('token') }, { requiredKeys: [], noNullPrototype: true }),
        roles: fc.dictionary(fc.constantFrom('smith', 'a/b'), fc.record({ env, github: fc.record({ env }, { noNullPrototype: true }) }, { requiredKeys: [], noNullPrototype: true }), { maxKeys: 2, noNullPrototype: true }),
      },
      { requiredKeys: [], noNullPrototype: true },
    );
  const defined = (entries: object) => Object.fromEntries(Object.entries(entries).filter(([, entry]) => entry !== undefined)) as never;

  /** What has to come of a workspace, said in another way than the program does. */
  const expectedOf = (before: Table): Table => {
    const { op_account: account, ...rest } = before;
    const isOld = !['v1alpha5'].includes(before.version as string);
    if (!isOld) return { ...before, version: 'v1alpha6' };
    const replaced = JSON.parse(JSON.stringify(rest), function (this: Table, key, entry: unknown) {
      if (account === undefined || key !== 'env' || !isTable(entry)) return entry;
      return Object.fromEntries(
        Object.entries(entry).map(([name, secretValue]) => {
          if (typeof secretValue === 'string') return [name, secretValue.startsWith('op://') ? { op: secretValue, account } : secretValue];
          return [name, isTable(secretValue) && 'op' in secretValue ? { account, ...secretValue } : secretValue];
        }),
      );
    }) as Table;
    // `x` may hold anything, and is none of the places.
    return { ...replaced, ...('x' in rest && { x: rest.x }), version: 'v1alpha6' };
  };

  const attempt = (kind: Kind, text: string): MigratedText | undefined => {
    try {
      return migrate(kind, text);
    } catch (error) {
      if (error instanceof JackinError && error.code === 'conflict') return undefined;
      throw error;
    }
  };

  it('moves what has to move, keeps every comment, and is done after once', () => {
    const content = fc.tuple(version, withKeys(true)).map(([stamp, rest]) => defined({ ...rest, version: stamp }));
    fc.assert(
      fc.property(tomlTextOf(content), (text) => {
        const migrated = attempt('workspace', text);
        if (migrated === undefined) return;
        const { text: after } = migrated;
        expect(isDeepStrictEqual(parseValue(plain(after)), expectedOf(parseValue(plain(text))))).toBe(true);
        expect(commentsOf(text).filter((comment) => !commentsOf(after).includes(comment))).toEqual([]);
        const [first] = parseTree(plain(after)).entries;
        expect(namesOf(first!.key)).toEqual(['version']);
        expect(migrateText('/c/x.toml', 'workspace', after)).toBe('current');
      }),
      { numRuns: RUNS },
    );
  }, LONG);

  it('splits workspaces off without losing a value or a comment', () => {
    const workspaces = fc.dictionary(fc.constantFrom('app', 'b', 'c.d'), withKeys(true).map(defined), { minKeys: 1, maxKeys: 3, noNullPrototype: true });
    const content = fc.tuple(version, workspaces, table(1)).map(([stamp, holder, rest]) => defined({ ...rest, version: stamp, workspaces: holder }));
    fc.assert(
      fc.property(tomlTextOf(content as never), (text) => {
        const migrated = attempt('config', text);
        if (migrated === undefined) return;
        const { workspaces: before, ...rest } = parseValue(plain(text)) as Table & { workspaces: Record<string, Table> };
        expect(isDeepStrictEqual(parseValue(plain(migrated.text)), { ...rest, version: 'v1alpha6' })).toBe(true);
        expect(migrated.workspaces.map(({ name }) => name).sort()).toEqual(Object.keys(before).sort());
        for (const part of migrated.workspaces) expect(isDeepStrictEqual(parseValue(part.text), expectedOf(before[part.name]!))).toBe(true);
        const after = [migrated.text, ...migrated.workspaces.map((part) => part.text)].flatMap(commentsOf);
        expect(commentsOf(text).filter((comment) => !after.includes(comment))).toEqual([]);
        expect(migrateText('/c/x.toml', 'config', migrated.text)).toBe('current');
      }),
      { numRuns: RUNS },
    );
  }, LONG);
});
