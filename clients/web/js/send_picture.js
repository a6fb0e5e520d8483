/** A picture on its way to the server, told in words. */

import { newIdempotencyKey } from './api.js';
import { waitText, withRetries } from './retry.js';

/** Share of the progress bar for sending; the rest is the server's reading of it. */
const SENDING = 0.9;

/**
 * @param {import('./api.js').Api} api
 * @param {Blob} file
 * @param {string} name
 * @param {AbortSignal} signal
 * @param {import('./run_job.js').Report} report
 * @returns {Promise<string>} the job
 */
export async function sendPicture(api, file, name, signal, report) {
  const key = newIdempotencyKey();
  const told = (/** @type {number} */ sent) => report('Opening', sendingText(sent), sent * SENDING);
  told(0);
  const send = () => api.upload(file, name, key, told, signal);
  const wait = (/** @type {number} */ left, /** @type {Error} */ error) => report('Opening', waitText(left, error), 0);
  return (await withRetries(send, signal, wait)).job_id;
}

/** @param {number} sent */
const sendingText = (sent) => (sent < 1 ? `Sending the picture, ${Math.round(sent * 100)} %` : 'Reading the picture');
