/** The forms in which a secret may lie about: as it is, base64 at every offset, URL- and JSON-escaped. */
export const formsOf = (secret: string): string[] => {
  const base64 = [0, 1, 2].flatMap((offset) => {
    const whole = Buffer.from('x'.repeat(offset) + secret).toString('base64');
    // The ends depend on the neighbours; the middle does not.
    const middle = whole.slice(offset === 0 ? 0 : 4, -4);
    return [middle, middle.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [...new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), ...base64])];
};

/** Where in `traces` one of the secrets stands; credential files have their own places, named in `exempt`. */
export const findSecrets = (traces: Map<string, string>, secrets: string[], exempt: RegExp): string[] => {
  const forms = secrets.flatMap(formsOf);
  return [...traces]
    .filter(([place, content]) => !exempt.test(place) && forms.some((form) => content.includes(form)))
    .map(([place]) => place);
};
