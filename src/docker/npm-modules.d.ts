/** The parts of npm's own libraries that are used here; they come without types. */

declare module '@npmcli/config' {
  interface Options {
    npmPath: string;
    definitions: unknown;
    shorthands: unknown;
    flatten: unknown;
    nerfDarts: unknown;
    argv: string[];
    env: Record<string, string | undefined>;
  }
  export default class Config {
    constructor(options: Options);
    load(): Promise<void>;
    /** Settings under the names that npm's other libraries take. */
    readonly flat: Record<string, unknown>;
  }
}

declare module '@npmcli/config/lib/definitions/index.js' {
  const definitions: {
    definitions: Record<string, { default: unknown }>;
    shorthands: unknown;
    flatten: unknown;
    nerfDarts: unknown;
  };
  export default definitions;
}

declare module 'npm-registry-fetch' {
  interface Answer {
    status: number;
    headers: { get(name: string): string | null };
    body: AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown };
    json(): Promise<unknown>;
  }
  export default function fetch(path: string, options: Record<string, unknown>): Promise<Answer>;
}
