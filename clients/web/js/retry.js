/** Repeats a request that the server asked to repeat later (429, 503), or that found no server: it may be starting. */

import { ApiError, NetworkError } from './api.js';
import { pause } from './pause.js';

const MAX_ATTEMPTS = 8;
const DEFAULT_WAIT_S = 3;
const MAX_WAIT_S = 120;
/** Five minutes: a restart of the server, with its models, is over by then. */
const CUT_OFFS = 100;

/**
 * @template T
 * @param {() => Promise<T>} request must be safe to repeat
 * @param {AbortSignal} signal
 * @param {(secondsLeft: number, error: ApiError | NetworkError) => void} onWait each second of the wait
 * @param {number} [cutOffs] how often it may be cut off before that is an error
 * @returns {Promise<T>}
 * @throws the last error, when it is no use trying again
 */
export async function withRetries(request, signal, onWait, cutOffs = CUT_OFFS) {
  for (let attempt = 1, missed = 0; ; attempt += 1) {
    try {
      return await request();
    } catch (error) {
      const busy = error instanceof ApiError && (error.status === 429 || error.status === 503);
      if (error instanceof NetworkError) missed += 1;
      const cutOff = error instanceof NetworkError && missed <= cutOffs;
      if (!(busy || cutOff) || attempt - missed >= MAX_ATTEMPTS) throw error;
      const asked = busy ? error.retryAfterS : null;
      if (asked !== null && asked > MAX_WAIT_S) throw error;
      for (let left = Math.ceil(asked ?? DEFAULT_WAIT_S); left > 0; left -= 1) {
        onWait(left, error);
        await pause(1000, signal);
      }
    }
  }
}

/**
 * Asked again while the server is busy, or for a moment away, without telling the user.
 * @template T
 * @param {() => Promise<T>} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function quietly(request, signal = new AbortController().signal) {
  return withRetries(request, signal, () => {}, 3);
}

/**
 * @param {number} secondsLeft
 * @param {Error} error
 */
export function waitText(secondsLeft, error) {
  return `${why(error)} Trying again in ${secondsLeft} s`;
}

/** @param {Error} error */
function why(error) {
  if (error instanceof ApiError) return error.status === 429 ? 'Too many requests at once.' : 'The server is busy.';
  return navigator.onLine ? 'The server does not answer.' : 'You are offline.';
}
