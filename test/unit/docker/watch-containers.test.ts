import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { watchContainers } from '../../../src/docker/watch-containers.ts';
import { type Answer, json, startDockerSocket } from '../../fakes/docker-socket.ts';

const cleanUp: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

type Told = string[] | undefined;

/** An engine with these containers, and everything that a watcher was told. */
const watch = async (answers: Record<string, Answer>, env?: Record<string, string>, lookEveryMs?: number) => {
  const socket = await startDockerSocket({ 'GET /_ping': json(200, 'OK'), ...answers });
  cleanUp.push(socket.close);
  const told: Told[] = [];
  const stop = new AbortController();
  const watching = watchContainers(env ?? socket.env, ['jackin.home=h', 'jackin.kind=role'], (running) => void told.push(running && [...running].sort()), stop.signal, lookEveryMs);
  const end = async (): Promise<void> => {
    stop.abort();
    await watching;
  };
  cleanUp.push(end);
  return { told, end };
};

const openEvents = () => {
  const open: ServerResponse[] = [];
  const answer: Answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    open.push(response);
  };
  return { answer, open };
};

describe('the running containers', () => {
  it('are told at first and after each change, by their names', async () => {
    const events = openEvents();
    let names = ['/jk-one'];
    const asked: (string | undefined)[] = [];
    const { told, end } = await watch({
      'GET /events': (request, response) => (asked.push(request.url), events.answer(request, response)),
      'GET /containers/json': (request, response) => (asked.push(request.url), json(200, names.map((name) => ({ Names: [name] })))(request, response)),
    });
    await expect.poll(() => told).toEqual([['jk-one']]);
    names = ['/jk-one', '/jk-two'];
    events.open[0]?.write('{"status":"start"}\n');
    await expect.poll(() => told.at(-1)).toEqual(['jk-one', 'jk-two']);
    names = [];
    events.open[0]?.write('{"status":"die"}\n');
    await expect.poll(() => told.at(-1)).toEqual([]);
    await end();
    const filters = asked.map((url) => JSON.parse(new URL(url ?? '', 'http://x').searchParams.get('filters') ?? '{}') as { label: string[] });
    for (const { label } of filters) expect(label).toEqual(['jackin.home=h', 'jackin.kind=role']);
  });

  it('are unknown when the engine goes, and known again when it is back', async () => {
    const events = openEvents();
    const { told } = await watch({ 'GET /events': events.answer, 'GET /containers/json': json(200, [{ Names: ['/jk-one'] }]) });
    await expect.poll(() => told).toEqual([['jk-one']]);
    events.open[0]?.destroy();
    await expect.poll(() => told, { timeout: 5000 }).toEqual([['jk-one'], undefined, ['jk-one']]);
  });

  it.each([
    ['an error', { 'GET /events': json(500, { message: 'no' }) }],
    ['something else', { 'GET /events': json(200, 'x'), 'GET /containers/json': json(200, { message: 'what?' }) }],
  ])('are unknown to an engine that answers with %s', async (_what, answers) => {
    const { told } = await watch(answers);
    await expect.poll(() => told.length).toBeGreaterThan(0);
    expect(told).toEqual([undefined]);
  });

  it('are seen although the engine no longer tells of changes: its connection was lost without a word', async () => {
    let names = ['/jk-one'];
    const { told } = await watch({ 'GET /events': openEvents().answer, 'GET /containers/json': (request, response) => json(200, names.map((name) => ({ Names: [name] })))(request, response) }, undefined, 100);
    await expect.poll(() => told.at(-1)).toEqual(['jk-one']);
    names = ['/jk-two'];
    await expect.poll(() => told.at(-1)).toEqual(['jk-two']);
  });

  it('are asked for anew when the list that follows an event fails', async () => {
    const events = openEvents();
    let status = 200;
    const { told } = await watch({ 'GET /events': events.answer, 'GET /containers/json': (request, response) => json(status, [{ Names: ['/jk-one'] }])(request, response) });
    await expect.poll(() => told).toEqual([['jk-one']]);
    status = 500;
    events.open[0]?.write('{"status":"start"}\n');
    await expect.poll(() => told.at(-1)).toBeUndefined();
    status = 200;
    await expect.poll(() => told.at(-1), { timeout: 5000 }).toEqual(['jk-one']);
  });

  it('are unknown without an engine', async () => {
    const { told } = await watch({}, { DOCKER_HOST: 'unix:///nonexistent/docker.sock' });
    await expect.poll(() => told).toEqual([undefined]);
  });

  it('are told no more when it is over, whatever the engine does', async () => {
    const { told, end } = await watch({ 'GET /events': () => undefined });
    await end();
    expect(told).toEqual([]);
  });
});
