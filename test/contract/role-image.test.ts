import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { constructReference, ensureConstruct } from '../../src/docker/construct.ts';
import type { Construct } from '../../src/docker/construct.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { ensureRoleImage, roleImageTag, type RoleImageSpec } from '../../src/docker/role-image.ts';
import { collect } from '../fakes/collect.ts';
import { containerSpec, packageRoot, realConstruct, realEngine, testScope } from './support.ts';

/** The engine with its build calls counted. */
const counting = (engine: Engine): { engine: Engine; builds: () => number } => {
  let builds = 0;
  const buildImage: Engine['buildImage'] = async (spec, call) => {
    builds += 1;
    await engine.buildImage(spec, call);
  };
  return { engine: { ...engine, buildImage }, builds: () => builds };
};

describe('construct and role image on the real engine', () => {
  const scope = testScope();
  let engine: Engine;
  let construct: Construct;

  beforeAll(async () => {
    engine = await realEngine();
    construct = await realConstruct(engine);
  }, 300_000);
  afterAll(async () => {
    await scope.clean(engine);
    // What failed and interrupted builds leave in the engine's build cache.
    for (const { id } of await engine.listImages({ 'jackin.test.build': scope.id })) await engine.removeImage(id).catch(() => undefined);
  });

  const role = async (files: Record<string, string>, suffix: string): Promise<RoleImageSpec> => {
    const roleDir = await scope.temporary();
    for (const [name, text] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(roleDir, name)), { recursive: true });
      await writeFile(path.join(roleDir, name), text);
    }
    return { roleDir, dockerfile: 'Dockerfile', hooks: [], constructReference: construct.reference, tag: `${scope.id}-${suffix}:one`, labels: scope.labels };
  };

  const shell = async (image: string, script: string, user = '4321:4321'): Promise<string> => {
    const name = `${scope.id}-${Math.random().toString(36).slice(2)}`;
    const id = await engine.createContainer(containerSpec(name, image, scope.labels, { user }));
    try {
      await engine.startContainer(id);
      const run = await engine.exec(id, ['/bin/bash', '-c', script]);
      run.stdin.end();
      const [stdout, stderr] = await Promise.all([collect(run.stdout), collect(run.stderr)]);
      return Buffer.concat([stdout, stderr]).toString();
    } finally {
      await engine.removeContainer(id);
    }
  };

  test('the construct is built once, and is there the second time', async () => {
    const { engine: counted, builds } = counting(engine);
    const again = await ensureConstruct(counted, { packageRoot, env: process.env }, {});
    expect(again).toMatchObject({ reference: await constructReference(packageRoot), built: false });
    expect(builds()).toBe(0);
  });

  test('the construct has its tools, and any repository is safe for git', async () => {
    const tools = 'bash zsh git git-lfs gh curl jq less ssh rg fd fzf tree ps unzip xz docker starship sudo';
    const answer = await shell(construct.reference, `for t in ${tools}; do command -v $t >/dev/null || echo missing $t; done; git config --get-all safe.directory; echo $LANG; ls /var/lib/apt/lists | wc -l; getent passwd 1000`);
    expect(answer.split('\n').slice(0, 3)).toEqual(['*', 'C.UTF-8', '0']);
    expect(answer).toContain('agent:x:1000:1000::/home/agent:');
  });

  test('JACKIN_CONSTRUCT_IMAGE takes any image by name', async () => {
    const named = await ensureConstruct(engine, { packageRoot, override: construct.reference, env: {} }, {});
    expect(named).toMatchObject({ reference: construct.reference, key: construct.id, built: false, how: 'named by JACKIN_CONSTRUCT_IMAGE' });
    const absent = ensureConstruct(engine, { packageRoot, override: 'localhost:1/absent:one', env: {} }, {});
    await expect(absent).rejects.toMatchObject({ message: expect.stringContaining('localhost:1/absent:one') });
  });

  test('the second time a role makes no build call', async () => {
    const spec = await role({ Dockerfile: 'FROM projectjackin/construct:trixie\n' }, 'second');
    const { engine: counted, builds } = counting(engine);
    const first = await ensureRoleImage(counted, spec, {});
    const second = await ensureRoleImage(counted, spec, {});
    expect([first.built, second.built, builds()]).toEqual([true, false, 1]);
    expect(second.id).toBe(first.id);
    expect(await engine.listImages({ ...scope.labels, 'jackin.managed': 'true' })).toMatchObject([{ id: first.id }]);
  });

  test('any uid can use the home; /jackin is prepared; the snapshot is readable', async () => {
    const Dockerfile = [
      'FROM projectjackin/construct:trixie',
      'RUN mkdir -p /jackin/run /jackin/kimi',
      'USER agent',
      'RUN mkdir -p /home/agent/.kimi-code && echo mine > /home/agent/.kimi-code/skills && chmod 700 /home/agent/.kimi-code',
      'RUN mkdir -m 700 /home/agent/.ssh && echo "Host x" > /home/agent/.ssh/config && chmod 600 /home/agent/.ssh/config',
      'COPY extra/tool /usr/local/bin/tool',
      'ENV PATH=/nothing',
      '',
    ].join('\n');
    const spec = await role({ Dockerfile, 'extra/tool': 'tool' }, 'layout');
    await ensureRoleImage(engine, spec, {});
    const script = `export PATH=/usr/bin:/bin
      for d in . .kimi-code .kimi .local .local/share .local/share/amp .claude; do touch /home/agent/$d/new || echo cannot write $d; done
      echo changed >> /home/agent/.kimi-code/skills
      readlink /jackin/kimi-code /jackin/kimi /jackin/claude
      cat /jackin/default-home/.kimi-code/skills
      stat -c %a /home/agent/.ssh/config /home/agent
      ls /jackin/run 2>&1 | head -1; cat /usr/local/bin/tool`;
    expect(await shell(spec.tag, script)).toBe(
      [
        'handoff/current/kimi-code',
        'handoff/current/kimi',
        'handoff/current/claude',
        'mine',
        '644',
        '777',
        "ls: cannot access '/jackin/run': No such file or directory",
        'tool',
      ].join('\n'),
    );
  });

  test('a role that keeps agents elsewhere finds its files there, and they are the ones of the durable place', async () => {
    const Dockerfile = [
      'FROM projectjackin/construct:trixie',
      'ENV CODEX_HOME=/opt/codex/ XDG_DATA_HOME=/srv/data CLAUDE_CONFIG_DIR=/home/agent KIMI_CODE_HOME=relative',
      'RUN mkdir -p /opt/codex /srv/data/other && echo theirs > /opt/codex/config.toml && echo stays > /srv/data/other/file',
      '',
    ].join('\n');
    const spec = await role({ Dockerfile }, 'elsewhere');
    await ensureRoleImage(engine, spec, {});
    const script = `readlink /opt/codex /srv/data/amp /srv/data/opencode
      cat /opt/codex/config.toml /jackin/default-home/.codex/config.toml /srv/data/other/file
      touch /opt/codex/new /srv/data/amp/new && ls /home/agent/.local/share/amp
      test -d /home/agent -a ! -L /home/agent && echo home stays`;
    expect(await shell(spec.tag, script)).toBe(
      ['/home/agent/.codex', '/home/agent/.local/share/amp', '/home/agent/.local/share/opencode', 'theirs', 'theirs', 'stays', 'new', 'home stays', ''].join('\n'),
    );
  });

  test('hooks are in the image, whole and not to be changed, whatever their mode and a .dockerignore', async () => {
    const files = {
      Dockerfile: '# escape=`\nFROM projectjackin/construct:trixie\nRUN mkdir -p /jackin/hooks && echo theirs > /jackin/hooks/preflight\nWORKDIR /tmp\nENV PATH=/nothing\nUSER agent\n',
      'hooks/once@1.sh': 'once\n',
      'env': 'export A=1\n',
      '.dockerignore': '*\n**/*.sh\n',
    };
    const hooks: RoleImageSpec['hooks'] = [{ name: 'setup_once', file: 'hooks/once@1.sh' }, { name: 'source', file: './env' }];
    const spec = { ...(await role(files, 'hooks')), hooks };
    await ensureRoleImage(engine, spec, {});
    const script = 'export PATH=/usr/bin:/bin; cd /jackin/hooks; stat -c "%n %a %u:%g" . *; cat *; for f in *; do echo x > $f; rm -f $f; done 2>&1 | grep -c denied';
    expect(await shell(spec.tag, script)).toBe(['. 755 0:0', 'setup_once 755 0:0', 'source 755 0:0', 'once', 'export A=1', '4', ''].join('\n'));
  });

  test('a failing build says where in the Dockerfile, and shows the end of its output', async () => {
    const Dockerfile = ['# a comment', 'FROM projectjackin/construct:trixie', '', `LABEL jackin.test.build=${scope.id}`, 'RUN seq 1 40; echo this is why; \\', '    exit 9', ''].join('\n');
    const spec = await role({ Dockerfile }, 'failing');
    const error = await ensureRoleImage(engine, spec, {}).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'build.failed', message: expect.stringContaining('at Dockerfile:5: RUN seq 1 40') });
    const { message } = error as Error;
    expect(message).toContain('  | this is why');
    expect(message).toContain('non-zero code: 9');
    expect(message).not.toContain('  | 20\n');
    expect(await engine.imageId(spec.tag)).toBeUndefined();
    expect(await engine.listContainers({ 'jackin.test.build': scope.id })).toEqual([]);
  });

  test('an interrupted build ends at once and leaves neither container nor image', async () => {
    // The containers of a build carry the labels of the steps before.
    const label = { 'jackin.test.build': scope.id };
    const Dockerfile = `FROM projectjackin/construct:trixie\nLABEL jackin.test.build=${scope.id}\nLABEL jackin.test.step=interrupted\nRUN echo it runs; sleep 120\n`;
    const spec = await role({ Dockerfile }, 'interrupted');
    const abort = new AbortController();
    const running: Promise<number>[] = [];
    const build = ensureRoleImage(engine, spec, {
      signal: abort.signal,
      onLine: (line) => {
        if (line !== 'it runs') return;
        running.push(engine.listContainers(label).then((found) => found.length).finally(() => abort.abort()));
      },
    });
    await expect(build).rejects.toMatchObject({ code: 'interrupted' });
    expect(await Promise.all(running)).toEqual([1]);
    await expect.poll(async () => await engine.listContainers(label), { timeout: 10_000 }).toEqual([]);
    expect(await engine.imageId(spec.tag)).toBeUndefined();
    expect((await engine.listImages(label)).filter((image) => image.labels['jackin.test.step'] === 'interrupted')).toEqual([]);
  });

  test('two launches that need one image build it once when they share a home, and both succeed when they do not', async () => {
    const shared = { ...(await role({ Dockerfile: 'FROM projectjackin/construct:trixie\nRUN sleep 1; date +%N > /stamp\n' }, 'twice')), locks: await scope.temporary() };
    const { engine: counted, builds } = counting(engine);
    const told: string[] = [];
    const both = await Promise.all([1, 2].map(async () => await ensureRoleImage(counted, shared, { onLine: (line) => void told.push(line) })));
    expect(builds()).toBe(1);
    expect(new Set(both.map(({ id }) => id)).size).toBe(1);
    expect(told).toContainEqual(expect.stringMatching(/^another jackin \(process \d+\) builds .*: waiting for it$/));

    const apart = await role({ Dockerfile: 'FROM projectjackin/construct:trixie\nRUN sleep 1; date +%N > /other\n' }, 'apart');
    const others = await Promise.all([1, 2].map(async () => await ensureRoleImage(engine, apart, {})));
    expect(others.map(({ built }) => built)).toEqual([true, true]);
    expect(await shell(apart.tag, 'wc -l < /other')).toBe('1\n');
    // The one that was named first has no name any more.
    for (const { id } of others) await engine.removeImage(id);
  });

  test('a rebuild runs every step again, takes the tag over and removes the old image unless a container uses it', async () => {
    const spec = await role({ Dockerfile: 'FROM projectjackin/construct:trixie\nRUN date +%N > /stamp\n' }, 'rebuild');
    const first = await ensureRoleImage(engine, spec, {});
    const second = await ensureRoleImage(engine, { ...spec, rebuild: true }, {});
    expect(second.built).toBe(true);
    expect(await engine.imageId(spec.tag)).toBe(second.id);
    expect(await engine.imageId(first.id)).toBeUndefined();
    const container = await engine.createContainer(containerSpec(`${scope.id}-holds`, spec.tag, scope.labels));
    await ensureRoleImage(engine, { ...spec, rebuild: true }, {});
    expect(await engine.imageId(second.id)).toBe(second.id);
    await engine.removeContainer(container);
    await engine.removeImage(second.id);
  });

  test('a published image that cannot be had is replaced by the Dockerfile, and that is said', async () => {
    const published = { reference: 'localhost:1/absent:v1', digest: `sha256:${'0'.repeat(64)}` };
    const spec = { ...(await role({ Dockerfile: 'FROM projectjackin/construct:trixie\n' }, 'published')), published };
    const told: string[] = [];
    expect(await ensureRoleImage(engine, spec, { onLine: (line) => void told.push(line) })).toMatchObject({ built: true });
    expect(told).toContainEqual(expect.stringMatching(/^localhost:1\/absent@sha256:0{64} is not used \(pulling .*\): the role is built from its Dockerfile$/));
  });

  test('what needs BuildKit is built by it, with the same lines', async () => {
    const Dockerfile = 'FROM projectjackin/construct:trixie\nRUN --mount=type=cache,target=/cache echo it   runs; touch /cache/x /made\nCOPY --chmod=711 Dockerfile /tool\n';
    const spec = await role({ Dockerfile }, 'modern');
    const told: string[] = [];
    await ensureRoleImage(engine, { ...spec, rebuild: true }, { onLine: (line, progress) => void told.push(progress?.stage === undefined ? line : `${progress.stage.number}/${progress.stage.count} ${line}`) });
    expect(told.slice(1)).toEqual([
      '2/4 RUN --mount=type=cache,target=/cache echo it   runs; touch /cache/x /made',
      'it runs',
      '3/4 COPY --chmod=711 Dockerfile /tool',
      '4/4 preparing the homes of the agents',
    ]);
    expect(await shell(spec.tag, 'stat -c %a /tool; ls /made /cache; readlink /jackin/kimi')).toBe('711\n/made\n\n/cache:\nhandoff/current/kimi\n');
    expect(await engine.listImages(scope.labels)).toContainEqual(expect.objectContaining({ tags: [spec.tag] }));
  });

  test('the shipped role builds', async () => {
    const roleDir = path.join(packageRoot, 'roles', 'agent-smith');
    const tag = roleImageTag({ key: 'agent-smith', content: 'test', dockerfile: 'Dockerfile', hooks: [], constructKey: construct.key });
    expect(tag).toMatch(/^jackin-local\/role-agentsmith:[0-9a-f]{12}$/);
    const spec = { roleDir, dockerfile: 'Dockerfile', hooks: [], constructReference: construct.reference, tag: `${scope.id}-smith:one`, labels: scope.labels };
    expect(await ensureRoleImage(engine, spec, {})).toMatchObject({ built: true });
  });
});
