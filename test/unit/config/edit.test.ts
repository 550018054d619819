import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editText } from '../../../src/config/edit.ts';
import { endOfLine, isOwnLine, pairsOf, parseTree, startOfLine } from '../../../src/config/edit-tree.ts';
import { applyEdits, type Edit, isTable, parseValue } from '../../../src/config/edit-values.ts';
import { lookUp } from '../../../src/config/layers.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { pathIn, tomlText, value } from './toml-documents.ts';

const RUNS = process.env.JACKIN_TEST_FULL ? 10_000 : 600;
const LONG = 300_000;

const plain = (text: string): string => text.replace(/^\uFEFF/, '');

const edit = (text: string, ...edits: [path: Edit['path'], value: Edit['value']][]): string =>
  editText('/c/config.toml', text, edits.map(([path, wanted]) => ({ path, value: wanted })));

const errorOf = (act: () => unknown): JackinError => {
  try {
    act();
  } catch (error) {
    if (error instanceof JackinError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

const change = fc.record({
  choices: fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 4 }),
  fresh: fc.constantFrom('new', 'roles', 'z z', '__proto__'),
  value: fc.option(value, { nil: undefined, freq: 3 }),
});

/** Edits that fit the document, each drawn from what the ones before it made of the value. */
const editsFor = (text: string, changes: (typeof change extends fc.Arbitrary<infer T> ? T : never)[]): Edit[] => {
  let current = parseValue(plain(text));
  return changes.flatMap(({ choices, fresh, value: wanted }) => {
    const next = { path: pathIn(current, choices, fresh), value: wanted };
    try {
      current = applyEdits(current, [next]);
      return [next];
    } catch (error) {
      if (error instanceof JackinError) return [];
      throw error;
    }
  });
};

/** What stands in the text and must be in the text after: comments, and the lines of keys that do not change, in their order. */
const mustStay = (original: string, wanted: Record<string, unknown>): { comments: string[]; lines: string[] } => {
  const text = plain(original);
  const tree = parseTree(text);
  const before = parseValue(text);
  const pairs = pairsOf(tree);
  const sections = tree.entries.filter((entry) => entry.type === 'TOMLTable');
  const isInList = (path: readonly unknown[]): boolean => path.some((name) => typeof name === 'number');
  const isSame = (path: Edit['path']): boolean => !isInList(path) && isDeepStrictEqual(lookUp(before, path), lookUp(wanted, path));
  const comments = tree.comments.filter((comment) => {
    const at = comment.range[0];
    const within = pairs.find(({ pair }) => at >= pair.value.range[0] && at < pair.value.range[1]);
    if (within !== undefined) return isSame(within.path);
    const section = sections.find(({ range }) => at >= range[0] && at < range[1]);
    if (isOwnLine(text, comment)) return section === undefined || !isInList(section.resolvedKey);
    const behind = pairs.find(({ pair }) => at >= pair.range[1] && at < endOfLine(text, pair.range[1]));
    if (behind !== undefined) return isSame(behind.path);
    const header = sections.find(({ key }) => at >= key.range[1] && at < endOfLine(text, key.range[1]));
    return header !== undefined && !isInList(header.resolvedKey) && isTable(lookUp(wanted, header.resolvedKey)) && isSame(header.resolvedKey);
  });
  const lines = pairs.filter(({ path }) => isSame(path)).map(({ pair: { range } }) => text.slice(startOfLine(text, range[0]), endOfLine(text, range[1])).trimEnd());
  return { comments: comments.map((comment) => text.slice(...comment.range)), lines };
};

const hasCommentInValue = (text: string): boolean => {
  const tree = parseTree(plain(text));
  return pairsOf(tree).some(({ pair: { value: inner } }) => tree.comments.some(({ range: [at] }) => at >= inner.range[0] && at < inner.range[1]));
};

/** Undefined when it was refused, which only a comment inside of a value may bring about. */
const attempt = (text: string, edits: Edit[]): string | undefined => {
  try {
    return editText('/c/x.toml', text, edits);
  } catch (error) {
    if (error instanceof JackinError && error.code === 'conflict' && hasCommentInValue(text)) return undefined;
    throw error;
  }
};

describe('editing any document', () => {
  it('gives exactly the wanted value, and everything that was not edited stays as it was', () => {
    fc.assert(
      fc.property(tomlText, fc.array(change, { minLength: 1, maxLength: 3 }), (text, changes) => {
        const edits = editsFor(text, changes);
        const before = parseValue(plain(text));
        const wanted = applyEdits(before, edits);
        const after = attempt(text, edits);
        if (after === undefined) return;
        expect(isDeepStrictEqual(parseValue(plain(after)), wanted)).toBe(true);
        expect(!isDeepStrictEqual(before, wanted) || after === text).toBe(true);
        expect(after.startsWith('\uFEFF')).toBe(text.startsWith('\uFEFF'));
        expect(text.includes('\r\n') && after.replaceAll('\r\n', '').includes('\n')).toBe(false);
        const { comments, lines } = mustStay(text, wanted);
        for (const comment of comments) expect(after).toMatch(new RegExp(`${comment}(\\r?\\n|$)`));
        let at = 0;
        for (const line of lines) {
          const found = after.indexOf(line, at);
          expect(found, `${JSON.stringify(line)} is gone or moved`).not.toBe(-1);
          at = found + line.length;
        }
      }),
      { numRuns: RUNS },
    );
  }, LONG);

  it('changes nothing twice', () => {
    fc.assert(
      fc.property(tomlText, change, (text, one) => {
        const edits = editsFor(text, [one]).filter(({ path, value: wanted }) => wanted !== undefined && !path.some((name) => typeof name === 'number'));
        const once = attempt(text, edits) ?? text;
        fc.pre(once !== text);
        expect(editText('/c/x.toml', once, edits)).toBe(once);
      }),
      { numRuns: RUNS / 2 },
    );
  }, LONG);
});

describe('a new key', () => {
  it('goes behind the last key of its table, not behind the comment of the next', () => {
    const text = '[env]\nX = "1" # x\n\n# about kimi\n[kimi]\nauth_forward = "sync"\n';
    expect(edit(text, [['env', 'Y'], '2'])).toBe('[env]\nX = "1" # x\nY = "2"\n\n# about kimi\n[kimi]\nauth_forward = "sync"\n');
  });

  it('takes the indentation of its neighbour, and stands behind the header of an empty table', () => {
    expect(edit('[env]\n\tA = "1"\n', [['env', 'B'], '2'])).toBe('[env]\n\tA = "1"\n\tB = "2"\n');
    expect(edit('[env] # mine\n# A = "1"\n\n[kimi]\n', [['env', 'B'], '2'])).toBe('[env] # mine\nB = "2"\n# A = "1"\n\n[kimi]\n');
  });

  it('of the file stands above every table; the version above every key, below the line for editors', () => {
    expect(edit('# mine\n\n[kimi]\n', [['version'], 'v1alpha6'])).toBe('version = "v1alpha6"\n\n# mine\n\n[kimi]\n');
    expect(edit('#:schema ./x.json\nworkdir = "/a"\n', [['version'], 'v1alpha6'], [['last_role'], 'r'])).toBe('#:schema ./x.json\nversion = "v1alpha6"\nworkdir = "/a"\nlast_role = "r"\n');
  });

  it('joins a table that is written with dots', () => {
    expect(edit('roles.smith.env.A = "1"\n\n[kimi]\n', [['roles', 'smith', 'env', 'B'], '2'])).toBe('roles.smith.env.A = "1"\nroles.smith.env.B = "2"\n\n[kimi]\n');
  });

  it('of a table without a header gets one, above the tables below it', () => {
    expect(edit('[env]\nA = "1"\n\n# tokens\n[github.env]\nT = "1"\n', [['github', 'auth_forward'], 'token'])).toBe(
      '[env]\nA = "1"\n\n[github]\nauth_forward = "token"\n\n# tokens\n[github.env]\nT = "1"\n',
    );
  });
});

describe('a new table', () => {
  it('gets a header of its own, behind its relatives, else at the end', () => {
    expect(edit('[roles.a]\ntrusted = true\n\n# last\n[kimi]\n', [['roles', 'b/c', 'kimi', 'auth_forward'], 'sync'])).toBe(
      '[roles.a]\ntrusted = true\n\n[roles."b/c".kimi]\nauth_forward = "sync"\n\n# last\n[kimi]\n',
    );
    expect(edit('a = 1', [['git', 'dco'], true])).toBe('a = 1\n\n[git]\ndco = true\n');
  });

  it('leaves what is commented out below its relative where it is', () => {
    expect(edit('[roles.a]\ntrusted = true\n# git = "x"\n\n[kimi]\n', [['roles', 'b', 'trusted'], true])).toBe(
      '[roles.a]\ntrusted = true\n# git = "x"\n\n[roles.b]\ntrusted = true\n\n[kimi]\n',
    );
    const tight = '[roles.a]\ntrusted = true\n# about kimi\n[kimi]\n';
    expect(edit(tight, [['roles', 'b', 'trusted'], true])).toBe('[roles.a]\ntrusted = true\n\n[roles.b]\ntrusted = true\n\n# about kimi\n[kimi]\n');
  });

  it('is not led astray by texts of several lines that look like comments', () => {
    const text = '[roles.a.env]\nA = """\n# x"""\n[roles.b]\n[kimi]\n';
    expect(edit(text, [['roles', 'b', 'env', 'B'], '1'], [['roles', 'a', 'trusted'], true])).toBe(
      '[roles.a]\ntrusted = true\n\n[roles.a.env]\nA = """\n# x"""\n[roles.b]\n\n[roles.b.env]\nB = "1"\n\n[kimi]\n',
    );
    expect(edit('A = """\n# x"""\n[env.b]\n', [['env', 'c'], '1'])).toBe('A = """\n# x"""\n\n[env]\nc = "1"\n\n[env.b]\n');
    expect(edit('[a.b]\nx = 1\n[z]\ny = """\n# x\n"""\n', [['a', 'c', 'x'], 1])).toBe('[a.b]\nx = 1\n\n[a.c]\nx = 1\n\n[z]\ny = """\n# x\n"""\n');
  });

  it('stays below the line for editors', () => {
    expect(edit('#:schema ./x.json\n# about a\n[env.a]\n', [['env', 'c'], '1'], [['top'], 1])).toBe('#:schema ./x.json\ntop = 1\n\n[env]\nc = "1"\n\n# about a\n[env.a]\n');
  });

  it('stands on one line when it is a reference or a named mount', () => {
    expect(edit('', [['env', 'T'], { op: 'op://a/b/c', account: 'acme' }], [['docker', 'mounts', 'ns/*', 'x'], { src: '/a', dst: '/b' }])).toBe(
      '[env]\nT = { op = "op://a/b/c", account = "acme" }\n\n[docker.mounts."ns/*"]\nx = { src = "/a", dst = "/b" }\n',
    );
  });

  it('is the first of its list, which the library for values cannot add', () => {
    expect(edit('workdir = "/a"\n', [['mounts', 0], { src: '/a', dst: '/a' }])).toBe('workdir = "/a"\n\n[[mounts]]\nsrc = "/a"\ndst = "/a"\n');
  });
});

const MOUNTS = '# one\n[[mounts]]\nsrc = "/a"\ndst = "/a"\n\n# two\n[[mounts]]\n# inside two\nsrc = "/b"\ndst = "/b"\n\n# env\n[env]\nA = "1"\n';

describe('an array of tables', () => {
  it('takes a new element behind the last, above the comment of what follows', () => {
    expect(edit(MOUNTS, [['mounts', 2], { src: '/c', dst: '/c', readonly: true }])).toBe(
      MOUNTS.replace('# env\n', '[[mounts]]\nsrc = "/c"\ndst = "/c"\nreadonly = true\n\n# env\n'),
    );
  });

  it('loses an element with what stands inside it, and no comment above or below', () => {
    expect(edit(MOUNTS, [['mounts', 0], undefined])).toBe(MOUNTS.replace('[[mounts]]\nsrc = "/a"\ndst = "/a"\n', ''));
    expect(edit(MOUNTS, [['mounts', 1], undefined])).toBe(MOUNTS.replace('[[mounts]]\n# inside two\nsrc = "/b"\ndst = "/b"\n\n', '\n').replace('# two\n\n\n', '# two\n\n'));
  });

  it('is changed in one element while another goes', () => {
    expect(edit(MOUNTS, [['mounts', 1, 'readonly'], true], [['mounts', 0], undefined], [['mounts', 1], { src: '/c', dst: '/c' }])).toBe(
      MOUNTS.replace('[[mounts]]\nsrc = "/a"\ndst = "/a"\n', '').replace('dst = "/b"\n', 'dst = "/b"\nreadonly = true\n\n[[mounts]]\nsrc = "/c"\ndst = "/c"\n'),
    );
  });

  it('is matched by its elements when it is set as a whole', () => {
    const wanted = [{ src: '/b', dst: '/b' }, { src: '/c', dst: '/c' }];
    const after = edit(MOUNTS, [['mounts'], wanted]);
    expect(after).toContain('# two\n[[mounts]]\n# inside two\nsrc = "/b"\ndst = "/b"\n\n[[mounts]]\nsrc = "/c"\n');
    expect(edit(MOUNTS, [['mounts'], []])).toMatch(/^mounts = \[\]\n/);
  });
});

describe('a removal', () => {
  it('keeps the comment of the next table', () => {
    expect(edit('[a]\nx = 1\n\n# --- b ---\n[b]\ny = 1\n', [['a'], undefined])).toBe('# --- b ---\n[b]\ny = 1\n');
  });

  it('takes the tables that become empty, and leaves every comment line', () => {
    expect(edit('[kimi]\n\n[env]\n# tokens\nA = "1" # gone\n# more\n', [['env', 'A'], undefined])).toBe('[kimi]\n\n# tokens\n\n# more\n');
    expect(edit('[roles.a.env]\nA = "1"\n', [['roles', 'a', 'env', 'A'], undefined])).toBe('');
  });

  it('does not put a comment above what it is not about', () => {
    expect(edit('# about a\na = 1\nb = 1\n', [['a'], undefined])).toBe('# about a\n\nb = 1\n');
  });

  it('of what is not there changes nothing', () => {
    expect(edit(MOUNTS, [['kimi', 'auth_forward'], undefined], [['mounts', 7], undefined])).toBe(MOUNTS);
  });
});

const LIST = 'allowed_roles = [\n  # trusted\n  "a", # why a\n  "b", # why b\n]\n';

describe('a value', () => {
  it('changes where it stands, with its quotes and the comment behind it', () => {
    expect(edit("a = 'x'\t# why\r\nb = \"y\"\r\n", [['a'], 'z'], [['b'], "it's"])).toBe("a = 'z'\t# why\r\nb = \"it's\"\r\n");
    expect(edit("a = 'x'\n", [['a'], 'two\nlines']).trim()).toBe('a = "two\\nlines"');
    expect(edit('[env]\nT = "x" # t\n', [['env', 'T'], { op: 'op://a/b/c' }])).toBe('[env]\nT = { op = "op://a/b/c" } # t\n');
  });

  it('of several lines keeps the comments of the elements that stay', () => {
    expect(edit(LIST, [['allowed_roles'], ['a', 'b', 'c']])).toBe(LIST.replace('# why b\n', '# why b\n  "c",\n'));
    expect(edit(LIST, [['allowed_roles', 1], undefined])).toBe(LIST.replace('  "b", # why b\n', ''));
  });

  it('at the very end is replaced whole', () => {
    expect(edit('a = 1\nb = 0', [['b'], 'long'])).toBe('a = 1\nb = "long"');
  });

  it('of a list is found again when another one goes at the same time', () => {
    const text = 'mounts = [\n  { src = "/a", dst = "/a" }, # one\n  # two\n  { src = "/b", dst = "/b" },\n]\n';
    expect(edit(text, [['mounts', 1, 'readonly'], true], [['mounts', 0], undefined])).toBe('mounts = [\n  # two\n  { src = "/b", dst = "/b", readonly = true },\n]\n');
  });

  it('brings no other line breaks into a file', () => {
    expect(edit("a = ['']\r\n", [['a', 0], 'two\nlines'])).toBe('a = ["two\\nlines"]\r\n');
  });

  it('that would lose a comment is left alone, with the lines to paste', () => {
    const error = errorOf(() => edit(LIST, [['allowed_roles'], ['b']]));
    expect(error).toMatchObject({ code: 'conflict', message: expect.stringContaining('/c/config.toml was left as it is') });
    expect(error.hint).toContain('    allowed_roles = ["b"]');
  });

  it('that may be a secret is not in the lines to paste', () => {
    const error = errorOf(() => edit(`${LIST}[env]\n`, [['allowed_roles'], 'x'], [['env', 'KEY'], 'sk-canary']));
    expect(error.hint).toContain('env.KEY = …');
    expect(JSON.stringify([error.message, error.hint])).not.toContain('canary');
  });

  it('never makes the library speak to the terminal', () => {
    expect(edit('a = [\r\n  "x",\n  "y",\n]\n', [['a', 2], 'z'])).toContain('"z"');
  });
});

describe('names', () => {
  it('of the prototype are names like any other', () => {
    expect(edit('', [['__proto__', 'x'], 1], [['constructor'], 2])).toBe('constructor = 2\n\n[__proto__]\nx = 1\n');
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('that lead into something else are refused', () => {
    expect(errorOf(() => edit('a = 1\n', [['a', 'b'], 1])).message).toBe('a is not a table, so nothing can be set or removed in it');
    expect(errorOf(() => edit('a = [1]\n', [['a', 5], 1])).message).toContain('only 1 elements');
  });

  it('of the file stand in the error for a text that is not TOML', () => {
    expect(errorOf(() => edit('a = \n', [['a'], 1]))).toMatchObject({ code: 'config.invalid', message: expect.stringContaining('/c/config.toml:1:') });
  });
});
