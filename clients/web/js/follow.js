/**
 * Follows a job to its end: by server-sent events, else by asking /status.
 *
 * @typedef {import('./types.js').JobStatus} JobStatus
 */

import { ApiError, NetworkError } from './api.js';
import { pause } from './pause.js';
import { quietly } from './retry.js';

const POLL_MS = 1000;
const OFFLINE_POLL_MS = 3000;
/** A proxy may hold the events back: after this silence the status is asked for as well. */
const SILENCE_MS = 4000;

/** @param {JobStatus} status */
const isOver = (status) => status.status === 'ready' || status.status === 'error';

/**
 * @param {import('./api.js').Api} api
 * @param {string} jobId
 * @param {AbortSignal} signal
 * @param {(status: JobStatus) => void} onStatus each change
 * @param {(connected: boolean) => void} onConnection whether the server answers
 * @returns {Promise<JobStatus>} the last status: ready or error
 * @throws {ApiError} 404 when the job is gone
 */
export async function follow(api, jobId, signal, onStatus, onConnection) {
  const streaming = new AbortController();
  const both = AbortSignal.any([signal, streaming.signal]);
  const last = { at: performance.now(), open: true };
  const seen = (/** @type {JobStatus} */ status) => {
    last.at = performance.now();
    onConnection(true);
    onStatus(status);
    return status;
  };
  const stream = quietly(() => followEvents(api, jobId, both, seen, last), both)
    .catch((error) => {
      if (error instanceof ApiError && error.status === 404) throw error;
      return null;
    })
    .finally(() => (last.open = false));
  const poll = followByAsking(api, jobId, both, seen, onConnection, last);
  try {
    return await Promise.race([stream.then((status) => status ?? poll), poll]);
  } finally {
    streaming.abort();
    stream.catch(() => {});
    poll.catch(() => {});
  }
}

/**
 * @param {import('./api.js').Api} api
 * @param {string} jobId
 * @param {AbortSignal} signal
 * @param {(status: JobStatus) => JobStatus} seen
 * @param {{at: number}} last when the server was last heard
 * @returns {Promise<JobStatus | null>} null when the stream ended before the job
 */
async function followEvents(api, jobId, signal, seen, last) {
  for await (const { event, data } of await api.events(jobId, signal)) {
    last.at = performance.now();
    if (event === 'gone') throw new ApiError(404, { detail: 'Job not found' });
    if (event !== 'status' && event !== 'message') continue;
    const status = seen(JSON.parse(data));
    if (isOver(status)) return status;
  }
  return null;
}

/**
 * @param {import('./api.js').Api} api
 * @param {string} jobId
 * @param {AbortSignal} signal
 * @param {(status: JobStatus) => JobStatus} seen
 * @param {(connected: boolean) => void} onConnection
 * @param {{at: number, open: boolean}} last when the server was last heard, and whether the stream is open
 * @returns {Promise<JobStatus>}
 */
async function followByAsking(api, jobId, signal, seen, onConnection, last) {
  for (;;) {
    let wait = POLL_MS;
    if (!last.open || performance.now() - last.at > SILENCE_MS) {
      try {
        const status = seen(await api.status(jobId, signal));
        if (isOver(status)) return status;
      } catch (error) {
        if (error instanceof NetworkError) {
          onConnection(false);
          wait = OFFLINE_POLL_MS;
        } else if (error instanceof ApiError && (error.status === 429 || error.status >= 500)) {
          wait = (error.retryAfterS ?? 3) * 1000;
        } else throw error;
      }
    }
    await pause(wait, signal);
  }
}
