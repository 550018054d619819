/** In what a secret may be wrapped where it lies about. */
export const SECRET_FORMS = ['plain', 'base64', 'URL', 'JSON', 'hex'] as const;

export type SecretForm = (typeof SECRET_FORMS)[number];

/** How much of a long form is looked for: its end, which is what differs between two tokens of one kind. */
const MAX_BYTES = 256;

export const LINE_FEED = 10;
export const CARRIAGE_RETURN = 13;

/** Line breaks mean nothing to whoever looks for a secret: base64 is wrapped, and so are terminals. */
export const isLineBreak = (byte: number): boolean => byte === LINE_FEED || byte === CARRIAGE_RETURN;

/** Base64 of a text that begins anywhere in a longer one: what depends on neither neighbour. */
const base64At = (secret: Buffer, offset: number): string => {
  const whole = Buffer.concat([Buffer.alloc(offset), secret]).toString('base64');
  return whole.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + secret.length) * 8) / 6));
};

const base64Forms = (secret: Buffer): string[] =>
  [0, 1, 2].flatMap((offset) => {
    const text = base64At(secret, offset);
    return [text, text.replaceAll('+', '-').replaceAll('/', '_')];
  });

const lowerEscapes = (text: string): string => text.replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase());

/** Encoders differ in what they leave alone, in what a blank becomes, and in the case of their digits. */
const urlForms = (secret: string): string[] => {
  const component = encodeURIComponent(secret);
  const strict = component.replaceAll(/[!'()*~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const inForm = new URLSearchParams({ s: secret }).toString().slice('s='.length);
  return [component, strict, encodeURI(secret), strict.replaceAll('%20', '+'), inForm].flatMap((text) => [text, lowerEscapes(text)]);
};

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1);

const unicodeEscape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** As JavaScript writes it, as Go and Python do, with escaped slashes, and as JSON in JSON. */
const jsonForms = (secret: string): string[] => {
  const text = inJson(secret);
  return [
    text,
    text.replaceAll(/[<>&]/g, unicodeEscape),
    text.replaceAll(/[^\0-\x7f]/g, unicodeEscape),
    text.replaceAll('/', '\\/'),
    inJson(text),
  ];
};

const hexForms = (secret: Buffer): string[] => {
  const text = secret.toString('hex');
  return [text, text.toUpperCase()];
};

const cut = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  return Buffer.from(bytes.filter((byte) => !isLineBreak(byte)).subarray(-MAX_BYTES));
};

/**
 * Every byte sequence by which a secret can be recognised, without line breaks and at
 * most 256 bytes long, each once and under the simplest form that it belongs to.
 */
export const formsOf = (secret: string): { form: SecretForm; bytes: Buffer }[] => {
  const raw = Buffer.from(secret);
  // Half a surrogate pair has no encoding; this replaces it, as a program that writes it would.
  const text = raw.toString();
  const forms: [SecretForm, string[]][] = [
    ['plain', [text]],
    ['base64', base64Forms(raw)],
    ['URL', urlForms(text)],
    ['JSON', jsonForms(text)],
    ['hex', hexForms(raw)],
  ];
  const seen = new Map<string, { form: SecretForm; bytes: Buffer }>();
  for (const [form, texts] of forms) {
    for (const bytes of texts.map(cut)) {
      const key = bytes.toString('latin1');
      if (!seen.has(key)) seen.set(key, { form, bytes });
    }
  }
  return [...seen.values()];
};
