import path from 'node:path';
import { JackinError } from '../shared/errors.ts';
import type { Instruction } from './dockerfile-parse.ts';
import { trimTail } from '../shared/trim.ts';
import type { Variables } from './dockerfile-variables.ts';
import { isHalfJson, mountFields, readOption, splitOptions, UNKNOWN, wordsOf } from './dockerfile-words.ts';

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

/** The first of some volumes that would swallow what jackin writes at build time, or what it mounts. An engine takes a relative one from the root. */
export const oursAmong = (volumes: readonly string[]): string | undefined =>
  volumes.find((volume) => {
    const place = trimTail(path.posix.join('/', volume), '/');
    return OUR_PLACES.some((own) => place === own || place.startsWith(`${own}/`) || own.startsWith(`${place}/`));
  });

/** A word for a message, and what it stands for where that is something else. */
const shown = (word: string, value: string): string => (word === value ? word : `${word} (${value})`);

const LIST_HINT = 'write either a list, as in ["a", "b"], or words';

/** The words of an instruction that is a list or words, each with what it stands for. */
const expandedWords = (keyword: string, rest: string, { place, variables }: Site): { word: string; value: string }[] => {
  if (isHalfJson(rest)) throw refusal(place, `${keyword}: some builders read the list and ignore what follows it, and others do not`, LIST_HINT);
  return wordsOf(rest).map((word) => ({ word, value: variables.expand(word) }));
};

const assertNotOurs = (rest: string, site: Site): void => {
  for (const { word, value } of expandedWords('VOLUME', rest, site)) {
    if (value.includes(UNKNOWN)) throw refusal(site.place, `VOLUME ${word}: it cannot be known which place this is`, 'write the place itself, or give the variable its value in an ARG or ENV before it');
    if (oursAmong([value]) === undefined) continue;
    throw refusal(site.place, `VOLUME ${shown(word, value)}: jackin itself mounts there`, 'leave this volume out: the homes of the agents are durable without it');
  }
};

/** An address with a scheme, or the short form that git has for ssh. */
const REMOTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|[\w.+-]+@[^/\s:]+:)/i;

/** What comes from elsewhere at build time has to be the same for everybody. */
const assertVerified = (options: readonly string[], rest: string, site: Site): void => {
  const checksum = options.map(readOption).find(({ name }) => name === 'checksum')?.value ?? '';
  if (/^sha256:[0-9a-f]{64}$/.test(site.variables.expand(checksum))) return;
  for (const { word, value } of expandedWords('ADD', rest, site).slice(0, -1)) {
    const hint = 'give its --checksum=sha256:…, or download it in a RUN that checks it, or put the file into the role';
    if (REMOTE.test(value)) throw refusal(site.place, `ADD ${value.replaceAll(UNKNOWN, '…')}: nothing says what this download has to be`, hint);
    if (value.startsWith(UNKNOWN)) throw refusal(site.place, `ADD ${word}: it cannot be known whether this is a download`, hint);
  }
};

/** Images that are read without being a base: `COPY --from=` and `RUN --mount=…,from=`. */
const assertKnownSource = (written: string, { place, stages, variables }: Site): void => {
  const source = variables.expand(written);
  if (source === '' || /^\d+$/.test(source) || stages.has(source.toLowerCase())) return;
  if (source.includes(UNKNOWN)) throw refusal(place, `from=${written}: it cannot be known which image this is`, 'name an earlier stage, and give its FROM the variable');
  const why = /^projectjackin\/construct\b/.test(source) ? 'the construct stands only in a FROM' : floatingIn(source);
  if (why !== undefined) throw refusal(place, `from=${shown(written, source)}: ${why}`, 'name an earlier stage, or an image with its version or digest');
};

const assertMount = (mount: string, site: Site): void => {
  for (const { key, value: written } of mountFields(mount)) {
    if (key === 'from') assertKnownSource(written, site);
    if (key !== 'type') continue;
    const type = site.variables.expand(written).toLowerCase();
    if (type === 'secret' || type === 'ssh') {
      throw refusal(site.place, `RUN --mount=type=${type}: a role is built without any secret of yours`, "fetch what needs a login in the role's setup_once hook");
    }
    if (type.includes(UNKNOWN)) throw refusal(site.place, `RUN --mount=type=${written}: it cannot be known which kind of mount this is`, 'write its type itself');
  }
};

/** Options that a RUN may have beside its mounts: nothing that a build does not have anyway. */
const RUN_OPTIONS: Readonly<Record<string, readonly string[]>> = { network: ['default', 'none'], security: ['sandbox'] };

const assertConfined = (options: readonly string[], site: Site): void => {
  for (const option of options) {
    const { name, value } = readOption(option);
    if (name === 'mount') assertMount(value, site);
    else if (!(Object.hasOwn(RUN_OPTIONS, name) && RUN_OPTIONS[name]!.includes(value))) {
      throw refusal(site.place, `RUN ${option.slice(0, 80)}: a role is built with no more rights than any other build, and apart from the host's network`, 'leave the option out');
    }
  }
};

/** The place of an instruction, and the names that are known there. */
export interface Site {
  /** For messages. */
  place: string;
  /** Names of the stages before, in lower case. */
  stages: ReadonlySet<string>;
  variables: Variables;
}

/** Throws `build.failed` with the place for what no role's Dockerfile may hold. */
export const assertAllowed = ({ keyword, rest }: Instruction, site: Site): void => {
  const { place } = site;
  if (!INSTRUCTIONS.has(keyword)) throw new JackinError('build.failed', `${place}: ${keyword.slice(0, 40)} is not an instruction of a Dockerfile`);
  if (keyword === 'ONBUILD') throw refusal(place, 'ONBUILD would never run: nothing is built on the image of a role', 'write the instruction itself');
  const { options, rest: words } = splitOptions(rest);
  if (keyword === 'VOLUME') assertNotOurs(rest, site);
  if (keyword === 'ADD') assertVerified(options, words, site);
  if (keyword === 'RUN') assertConfined(options, site);
  const from = options.map(readOption).filter(({ name }) => name === 'from');
  if (keyword === 'COPY') for (const { value } of from) assertKnownSource(value, site);
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
