/**
 * The text without any of these characters at its end. A regular expression such as
 * `/\/+$/` looks for the end from every one of them: a text of a hundred thousand
 * slashes and a letter keeps it busy for minutes.
 */
export const trimTail = (text: string, characters: string): string => {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1]!)) end -= 1;
  return text.slice(0, end);
};
