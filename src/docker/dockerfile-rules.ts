import { JackinError } from '../shared/errors.ts';
import type { Instruction } from './dockerfile-parse.ts';

const INSTRUCTIONS = new Set(
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR'.split(' '),
);

/** Tags that are made to move. */
const FLOATING = new Set(['latest', 'stable', 'edge', 'main', 'master', 'nightly', 'dev', 'rolling', 'current']);

const OUR_PLACES = ['/jackin', '/home/agent'];

const refusal = (place: string, message: string, hint: string): JackinError => new JackinError('build.failed', `${place}: ${message}`, { hint });

/** Why an image reference stands for another image every other day; undefined when it does not. */
export const floatingIn = (image: string): string | undefined => {
  if (/@sha256:[0-9a-f]{64}$/.test(image)) return undefined;
  const tag = /:([^/:@]+)$/.exec(image)?.[1];
  if (tag === undefined) return `${image} names no version`;
  return FLOATING.has(tag.toLowerCase()) ? `the tag ${tag} of ${image} moves` : undefined;
};

/** The first of some volumes that would swallow what jackin writes at build time, or what it mounts. */
export const oursAmong = (volumes: readonly string[]): string | undefined =>
  volumes.find((volume) => {
    const place = volume.replace(/\/+$/, '');
    return OUR_PLACES.some((own) => place === own || place.startsWith(`${own}/`) || own.startsWith(`${place}/`));
  });

const assertNotOurs = (rest: string, place: string): void => {
  const volume = oursAmong(rest.match(/\/[^\s"',\]]*/g) ?? []);
  if (volume === undefined) return;
  throw refusal(place, `VOLUME ${volume}: jackin itself mounts there`, 'leave this volume out: the homes of the agents are durable without it');
};

const REMOTE = /(?:^|[\s"'[,])((?:https?:\/\/|git:\/\/|ssh:\/\/|git@)[^\s"',\]]*)/i;

/** What comes from elsewhere at build time has to be the same for everybody. */
const assertVerified = (rest: string, place: string): void => {
  const remote = REMOTE.exec(rest)?.[1];
  if (remote === undefined || /(?:^|\s)--checksum=sha256:[0-9a-f]{64}(?:\s|$)/.test(rest)) return;
  const message = `ADD ${remote}: nothing says what this download has to be`;
  throw refusal(place, message, 'give its --checksum=sha256:…, or download it in a RUN that checks it, or put the file into the role');
};

/** Images that are read without being a base: `COPY --from=` and `RUN --mount=…,from=`. */
const assertKnownSource = (rest: string, place: string, stages: ReadonlySet<string>): void => {
  const source = /(?:^|\s)--(?:from=|mount=\S*?\bfrom=)([^\s,]+)/.exec(rest)?.[1];
  if (source === undefined || source.includes('$') || /^\d+$/.test(source) || stages.has(source.toLowerCase())) return;
  const why = /^projectjackin\/construct\b/.test(source) ? 'the construct stands only in a FROM' : floatingIn(source);
  if (why !== undefined) throw refusal(place, `from=${source}: ${why}`, 'name an earlier stage, or an image with its version or digest');
};

const assertNoSecrets = (rest: string, place: string): void => {
  const kind = /--mount=\S*?\btype=(secret|ssh)\b/.exec(rest)?.[1];
  if (kind !== undefined) throw refusal(place, `RUN --mount=type=${kind}: a role is built without any secret of yours`, 'fetch what needs a login in the role\'s setup_once hook');
};

/** Throws `build.failed` with the place for what no role's Dockerfile may hold. `stages` are the names of those before, in lower case. */
export const assertAllowed = ({ keyword, rest, line }: Instruction, name: string, stages: ReadonlySet<string>): void => {
  const place = `${name}:${line}`;
  if (!INSTRUCTIONS.has(keyword)) throw new JackinError('build.failed', `${place}: ${keyword.slice(0, 40)} is not an instruction of a Dockerfile`);
  if (keyword === 'ONBUILD') throw refusal(place, 'ONBUILD would never run: nothing is built on the image of a role', 'write the instruction itself');
  if (keyword === 'VOLUME') assertNotOurs(rest, place);
  if (keyword === 'ADD') assertVerified(rest, place);
  if (keyword === 'COPY' || keyword === 'RUN') assertKnownSource(rest, place, stages);
  if (keyword === 'RUN') assertNoSecrets(rest, place);
};

const BUILDKIT_FLAG: Readonly<Record<string, RegExp>> = {
  RUN: /^(?:--\S+\s+)*(--(?:mount|network|security|device)=\S+)/,
  COPY: /^(?:--\S+\s+)*(--(?:link|chmod|exclude|parents)\b\S*)/,
  ADD: /^(?:--\S+\s+)*(--(?:link|chmod|exclude|checksum|keep-git-dir|unpack)\b\S*)/,
};

/** Understood by BuildKit from the beginning of the engines that are supported. */
const OLD_FLAG = /^--(?:mount|network|security|chmod)=/;

export interface Modern {
  line: number;
  what: string;
  /** Docker 20.10 does not know it yet. */
  isNew: boolean;
}

/** What only BuildKit can build of a Dockerfile: all of it, with its places. */
export const modernIn = (instructions: readonly Instruction[]): Modern[] =>
  instructions.flatMap(({ line, keyword, rest, heredoc }) => {
    const flag = BUILDKIT_FLAG[keyword]?.exec(rest)?.[1];
    return [
      ...(flag === undefined ? [] : [{ line, what: `${keyword} ${flag}`, isNew: !OLD_FLAG.test(flag) }]),
      ...(heredoc ? [{ line, what: `${keyword} with a text that follows it (<<)`, isNew: true }] : []),
    ];
  });
