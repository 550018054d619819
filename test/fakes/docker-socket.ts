import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export const json =
  (status: number, value: unknown): Answer =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

export const VERSION = json(200, { ApiVersion: '1.41', Arch: 'amd64', Os: 'linux' });

/**
 * A Unix socket that answers as an engine may, however badly: by the first entry
 * whose key, such as `GET /images/`, is the beginning of the request; else 404.
 */
export const startDockerSocket = async (answers: Record<string, Answer>) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'jackin-socket-'));
  const socket = path.join(directory, 'docker.sock');
  const server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`;
    const answer = Object.entries(answers).find(([key]) => line.startsWith(key))?.[1] ?? json(404, { message: 'no such thing' });
    request.resume();
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  server.unref();
  return {
    socket,
    env: { DOCKER_HOST: `unix://${socket}` },
    close: async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
      await rm(directory, { recursive: true, force: true });
    },
  };
};
