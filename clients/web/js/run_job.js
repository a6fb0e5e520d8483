/**
 * A job from the request to its end, told in words on the way.
 *
 * @typedef {import('./types.js').JobStatus} JobStatus
 * @typedef {(title: string, text: string, fraction: number) => void} Report
 */

import { ApiError, newIdempotencyKey } from './api.js';
import { follow } from './follow.js';
import { waitText, withRetries } from './retry.js';
import { stageText } from './stage_text.js';

const WAITING = 'It does not answer. This page reconnects by itself, and the work goes on where it was.';

/**
 * @param {import('./api.js').Api} api
 * @param {string} jobId
 * @param {object[]} objects as /segment takes them
 * @param {import('./types.js').Output[]} outputs
 * @param {AbortSignal} signal
 * @param {Report} report
 * @returns {Promise<JobStatus>} ready or error
 */
export async function runJob(api, jobId, objects, outputs, signal, report) {
  const key = newIdempotencyKey();
  report('Working', 'Sending the selection', 0);
  const send = () => api.segment(jobId, objects, outputs, key).catch(unlessRunning);
  await withRetries(send, signal, (left, error) => report('Working', waitText(left, error), 0));
  return followJob(api, jobId, signal, report);
}

/**
 * @param {import('./api.js').Api} api
 * @param {string} jobId
 * @param {AbortSignal} signal
 * @param {Report} report
 * @returns {Promise<JobStatus>} ready or error
 */
export function followJob(api, jobId, signal, report) {
  let done = 0;
  return follow(
    api,
    jobId,
    signal,
    (status) => {
      done = status.progress / 100;
      report('Working', stageText(status), done);
    },
    (connected) => {
      if (!connected) report('Waiting for the server', WAITING, done);
    },
  );
}

/** @param {unknown} error another page of the same picture may have begun: its job is followed then */
function unlessRunning(error) {
  if (!(error instanceof ApiError && error.status === 409)) throw error;
}
