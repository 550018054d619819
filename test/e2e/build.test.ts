/** Building a role with the real engine: what a Dockerfile may try, how it fails, and what is left. */
import { spawn } from 'node:child_process';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import { leftoversOf, makeWorld, writeLogin, type World } from './world.ts';

const NOTHING = { containers: [], networks: [], volumes: [], data: [] };

let world: World;
let role: string;

beforeEach(async () => {
  world = await makeWorld('build');
  role = path.join(world.sandbox.dirs.temp, 'built');
  await mkdir(role);
  await writeFile(path.join(role, 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n');
});

afterEach(async () => {
  await world.remove();
});

const dockerfile = async (...lines: string[]): Promise<void> => {
  await writeFile(path.join(role, 'Dockerfile'), ['FROM projectjackin/construct:trixie', ...lines, ''].join('\n'));
};

const load = (...words: string[]) =>
  world.jackin(['load', role, world.sandbox.dirs.project, '--agent', 'kimi', '--network', world.sandbox.network, '--no-input', ...words]);

/** Who runs it before our programs leaves a file. */
const SPY = '#!/usr/bin/bash\\ntouch /tmp/in-front-$(/usr/bin/basename $0)\\nexec /usr/bin/$(/usr/bin/basename $0) "$@"\\n';

describe('a role that tries everything to get in front of the capsule', () => {
  test('is launched all the same, and nothing of it runs before the capsule', async () => {
    const login = await writeLogin(path.join(world.sandbox.dirs.userHome, '.kimi-code'));
    await world.config('');
    await world.serve({ logins: [login] });
    await dockerfile(
      "RUN echo 'require(\"node:fs\").writeFileSync(\"/tmp/in-front-node\", \"\")' > /evil.cjs && echo 'touch /tmp/in-front-bash' > /evil.sh",
      `RUN mkdir /evil && for p in node kimi; do printf '${SPY}' > /evil/$p; done; chmod -R 755 /evil`,
      "RUN mkdir -p /jackin/hooks /jackin/runtime/bin /jackin/handoff /jackin/run && cp /evil/node /jackin/runtime/bin/node && cp /evil/node /jackin/hooks/preflight && echo x > /jackin/kimi-code",
      "RUN echo 'root:x:0:0::/:/bin/false' > /etc/passwd && : > /etc/group",
      'ENV NODE_OPTIONS=--require=/evil.cjs LD_PRELOAD=/no/such/library.so LD_LIBRARY_PATH=/evil BASH_ENV=/evil.sh ENV=/evil.sh NODE_PATH=/evil PATH=/evil:/usr/bin',
      'VOLUME /data',
      'SHELL ["/bin/false"]',
      'HEALTHCHECK --interval=1s CMD ["/evil/node"]',
      'STOPSIGNAL SIGCONT',
      'ENTRYPOINT ["/bin/false"]',
      'CMD ["/bin/false"]',
      'USER nobody',
      'WORKDIR /nowhere',
    );
    const { code, stdout, stderr } = await load('--prompt', 'hello');
    expect(stderr).not.toContain('error');
    expect(stdout).toContain('fake kimi heard: hello');
    expect(code).toBe(0);
    const [container = ''] = await world.containers();
    const changes = (await connectEngine().call('GET', `/containers/${container}/changes`)).body.toString();
    expect(changes.match(/in-front-\w+/g) ?? []).toEqual([]);
  });

  test('by taking the shell away from the layer that jackin adds does not get that far', async () => {
    await dockerfile("RUN printf '#!/usr/bin/bash\\nexit 0\\n' > /lies && chmod 755 /lies && ln -sf /lies /bin/sh");
    const { code, stderr } = await load('--prompt', 'hello');
    expect(stderr).toMatch(/^error: /m);
    expect(code).toBe(1);
    expect(await leftoversOf(world)).toEqual(NOTHING);
  });
});

describe('a role that cannot be built', () => {
  test.each([
    ['a step that fails', ['RUN echo this is why; exit 9'], /at Dockerfile:2: RUN echo this is why; exit 9\n[\s\S]* {2}\| this is why/],
    ['another final base', ['FROM debian:trixie'], /Dockerfile:2: the final FROM is debian:trixie/],
    ['a download that nobody checks', ['ADD https://example.invalid/x /x'], /Dockerfile:2: ADD https:\/\/example\.invalid\/x: nothing says/],
    ['a secret that it asks for', ['RUN --mount=type=secret,id=x true'], /Dockerfile:2: RUN --mount=type=secret: a role is built without any secret/],
    ['a step that fails in BuildKit', ['RUN --mount=type=cache,target=/x seq 1 3; echo this is why; exit 9'], /exit code: 9 at Dockerfile:2: RUN --mount[\s\S]* {2}\| this is why/],
  ])('because of %s ends in a sentence, and nothing is left', async (_what, lines, sentence) => {
    await dockerfile(...lines);
    const { code, stderr } = await load('--prompt', 'hello');
    expect(stderr).toMatch(sentence);
    expect(code).toBe(1);
    expect(await leftoversOf(world)).toEqual(NOTHING);
  });

  test('because of five gigabytes is told at once; in a .dockerignore they are no matter', async () => {
    await dockerfile('COPY . /role', 'RUN ls -A /role');
    await writeFile(path.join(role, 'model.bin'), '');
    await truncate(path.join(role, 'model.bin'), 5 * 1024 ** 3);
    const started = performance.now();
    const { code, stderr } = await load('--prompt', 'hello');
    expect(performance.now() - started).toBeLessThan(5000);
    expect(stderr).toMatch(/The biggest files: model\.bin \(5120\.0 MiB\)[\s\S]*\.dockerignore/);
    expect(code).toBe(1);
    await writeFile(path.join(role, '.dockerignore'), '*.bin\n');
    expect((await world.jackin(['prewarm', role, '--agent', 'kimi'])).code).toBe(0);
  });

  test('because of Ctrl-C leaves neither container nor image', async () => {
    const label = `jackin.test.build=${world.sandbox.id}`;
    await dockerfile(`LABEL ${label}`, 'RUN echo it runs; sleep 120');
    const child = spawn(process.execPath, [world.sandbox.cli, 'prewarm', role, '--agent', 'kimi'], { env: world.sandbox.env, stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = new Promise<number | null>((resolve) => void child.on('close', resolve));
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const engine = connectEngine();
    await expect.poll(() => said, { timeout: 120_000 }).toContain('step 3/');
    await expect.poll(async () => (await engine.labelled(label)).containers.length, { timeout: 120_000 }).toBe(1);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    await expect.poll(async () => (await engine.labelled(label)).containers, { timeout: 10_000 }).toEqual([]);
    const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
    expect((await engine.call('GET', `/images/json?all=1&filters=${filters}`)).body.toString().trim()).toBe('[]');
  });
});
