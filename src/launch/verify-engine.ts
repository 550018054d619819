import { addAbortSignal } from 'node:stream';
import type { Engine, InspectedKind } from '../docker/engine.ts';
import type { Instance } from '../instances/find.ts';
import { scanFileSystem, scanImage } from './verify-archive.ts';
import { countText, type Look, type Looked, type PlaceToLook, sizeText } from './verify-place.ts';

/** What is needed of the engine's answer; all of it is searched. */
interface Inspected {
  Id?: string;
  Created?: string;
  /** Id of the image. */
  Image?: string;
  Mounts?: { Type?: string; Name?: string }[];
  NetworkSettings?: { Networks?: Record<string, unknown> | null };
}

const ENV_MS = 10_000;

const seen = (look: Look): string => sizeText(look.bytes());

const whole = (engine: Engine, place: string, kind: InspectedKind, names: (string | undefined)[]): PlaceToLook => ({
  place,
  run: async (look) => {
    const known = names.filter((name) => name !== undefined);
    for (const name of known) {
      const answer = await engine.inspect(kind, name, look);
      // It was named by what is there: without it, there is nothing to say of its labels.
      if (answer === undefined) look.miss(`${kind} ${name}`, 'is gone');
      else look.text(`${kind} ${name}`, JSON.stringify(answer));
    }
    return known.length === 0 ? { absent: 'there is none' } : `${known.length === 1 ? '' : `${known.length} of them, `}${seen(look)}`;
  },
});

const whileRunning =
  ({ engine: info }: Instance, run: (look: Look) => Promise<Looked>) =>
  async (look: Look): Promise<Looked> =>
    info?.running === true ? await run(look) : { absent: 'the container does not run' };

/** What a program that is started in the container now finds in its environment. */
const lookAtEnvironment = async (engine: Engine, container: string, look: Look): Promise<Looked> => {
  const run = await engine.exec(container, ['env']);
  const late = AbortSignal.timeout(ENV_MS);
  run.stdin.end();
  run.stderr.resume();
  try {
    await look.stream('env', addAbortSignal(AbortSignal.any([look.signal, late]), run.stdout));
    const code = await run.exitCode();
    if (code !== 0) throw new Error(`\`env\` ended with code ${code}`);
    return seen(look);
  } catch (error) {
    run.stdin.destroy();
    throw late.aborted ? new Error(`\`env\` did not end within ${ENV_MS / 1000} s`, { cause: error }) : error;
  }
};

const lookAtProcesses = async (engine: Engine, container: string, look: Look): Promise<Looked> => {
  const lines = await engine.commandLines(container, look);
  for (const line of lines) look.text(`process ${line.split(' ', 1)[0]}`, line);
  return countText(lines.length, 'process');
};

const lookAtEvents = async (engine: Engine, container: string, created: string, look: Look): Promise<Looked> => {
  const events = await engine.events(container, created, look);
  // `"Action":"exec_create: sh -c …"`: its first word says enough.
  for (const event of events) look.text(/"Action":"(\w+)/.exec(event)?.[1] ?? 'event', event);
  return `${countText(events.length, 'event')}, as far back as the engine remembers`;
};

/** A log that the engine passes on without keeping it is nobody's to read afterwards. */
const lookAtLog = async (engine: Engine, container: string, look: Look): Promise<Looked> => {
  try {
    await look.stream('log', await engine.wholeLog(container, look));
  } catch (error) {
    if (/does not support reading/i.test(String(error))) return { absent: 'the engine keeps none' };
    throw error;
  }
  return seen(look);
};

/** Every place on the engine where something of an instance could have come to lie. */
export const enginePlaces = (engine: Engine, instance: Instance, inspected: Inspected): PlaceToLook[] => {
  const { Id: id = '', Created: created = '0', Image: image, Mounts: mounts, NetworkSettings: network } = inspected;
  const volumes = (mounts ?? []).flatMap(({ Type, Name }) => (Type === 'volume' ? [Name] : []));
  return [
    { place: 'container', run: async (look) => (look.text('inspect', JSON.stringify(inspected)), seen(look)) },
    { place: 'environment', run: whileRunning(instance, async (look) => await lookAtEnvironment(engine, id, look)) },
    { place: 'processes', run: whileRunning(instance, async (look) => await lookAtProcesses(engine, id, look)) },
    { place: 'log', run: async (look) => await lookAtLog(engine, id, look) },
    { place: 'events', run: async (look) => await lookAtEvents(engine, id, created, look) },
    whole(engine, 'networks', 'network', Object.keys(network?.Networks ?? {})),
    whole(engine, 'volumes', 'volume', volumes),
    whole(engine, 'image', 'image', [image]),
    whole(engine, 'image history', 'history of image', [image]),
    {
      place: 'image layers',
      run: async (look) => {
        if (image === undefined) return { absent: 'the engine names no image' };
        const { files, layers } = await scanImage(look, await engine.saveImage(image, look));
        return `${seen(look)}, ${countText(files, 'file')} in ${countText(layers, 'layer')}`;
      },
    },
    {
      place: 'file system',
      run: async (look) => {
        const { files } = await scanFileSystem(look, await engine.exportContainer(id, look));
        return `${seen(look)}, ${countText(files, 'file')}, without what is mounted`;
      },
    },
  ];
};
