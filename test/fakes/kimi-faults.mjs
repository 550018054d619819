// What can be made to go wrong with a request for a token at the fake Kimi server.

/**
 * What goes wrong with one request for a token: a late answer; another status, before
 * anything was done; the connection breaks, before or after the server acted on the
 * request; the answer breaks off; the answer is no JSON of a token.
 * @typedef {{ do: 'delay', seconds: number }
 *   | { do: 'status', status: number, retryAfter?: number }
 *   | { do: 'reset' } | { do: 'reset after' } | { do: 'cut' } | { do: 'junk' }} Fault
 *
 * @typedef {object} Answer
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {string} body
 * @property {'before' | 'after' | 'midway'} [broken] no answer comes: the connection ends before or after the server
 *   acted, or in the middle of the body
 * @property {number} [delay] seconds that it takes
 */

/** What a fault makes of an answer; the server has acted by then, but for the faults that keep it from it. */
export const spoil = (/** @type {Answer} */ answer, /** @type {Fault} */ fault) => {
  if (fault.do === 'delay') return { ...answer, delay: fault.seconds };
  if (fault.do === 'reset after') return { ...answer, broken: /** @type {const} */ ('after') };
  if (fault.do === 'cut') return { ...answer, broken: /** @type {const} */ ('midway') };
  if (fault.do === 'junk') return { ...answer, headers: { ...answer.headers, 'content-type': 'text/html' }, body: '<html>junk</html>' };
  return answer;
};

/** @returns {Answer | undefined} the answer of a server that does not act at all */
export const withoutActing = (/** @type {Fault | undefined} */ fault) => {
  if (fault?.do === 'reset') return { status: 0, headers: {}, body: '', broken: 'before' };
  if (fault?.do !== 'status') return undefined;
  const headers = { 'content-type': 'application/json', ...(fault.retryAfter !== undefined && { 'retry-after': String(fault.retryAfter) }) };
  return { status: fault.status, headers, body: JSON.stringify({ error: 'unavailable', error_description: 'fake kimi: try again later' }) };
};
