/**
 * Errors in plain words, with what to do about them.
 *
 * @typedef {{text: string, advice: string, gone: boolean}} Explanation
 *   `gone`: the picture is no longer on the server
 */

import { ApiError, NetworkError } from './api.js';

/** @type {Record<number, string>} */
const ADVICE = {
  400: 'Try another picture: JPEG, PNG and WebP always work.',
  401: 'Whoever runs it gives you one.',
  404: 'Pictures are kept for a limited time. Open it again to start afresh.',
  409: 'It is still working on your last request. Wait for it to finish.',
  413: 'It works with a smaller one.',
  422: 'Change the selection and try again.',
  429: 'Too many requests at once. Wait a moment and try again.',
  503: 'The server is busy. Wait a moment and try again.',
};

/**
 * @param {unknown} error
 * @param {readonly string[]} [titles] of the objects that the request was about
 * @returns {Explanation}
 */
export function explain(error, titles = []) {
  if (error instanceof NetworkError) {
    const text = navigator.onLine ? 'The server cannot be reached.' : 'You are offline.';
    return { text, advice: 'Check the connection and try again. Nothing you selected is lost.', gone: false };
  }
  if (error instanceof ApiError) {
    if (/unidentified|cannot identify|invalid image data/i.test(error.message) && !/\blimit\b/.test(error.message)) {
      return { text: 'This file cannot be read as a picture.', advice: ADVICE[400], gone: false };
    }
    const reference = error.status >= 500 && error.problem.request_id ? ` (${error.problem.request_id})` : '';
    const gone = error.status === 404;
    return {
      text: gone ? 'This picture is no longer on the server.' : inWords(error, titles) + reference,
      advice: (/\blimit\b/.test(error.message) && error.status === 400 ? ADVICE[413] : ADVICE[error.status]) ?? 'Try again. If it happens again, open the picture anew.',
      gone,
    };
  }
  return { text: 'Something went wrong on this page.', advice: 'Reload it; your picture is kept.', gone: false };
}

/**
 * @param {string | null | undefined} error the `error` of a job that failed
 * @param {readonly string[]} titles of the job's objects
 * @returns {Explanation}
 */
export function explainJob(error, titles) {
  const text = plain(error || 'The job failed.', titles);
  const small = /too small|no mask|empty/i.test(text);
  return {
    text,
    advice: small
      ? 'Tap closer to the middle of the object, or draw a box around it.'
      : 'Try again. If it fails again, change the selection.',
    gone: false,
  };
}

/** @param {ApiError} error @param {readonly string[]} titles */
function inWords(error, titles) {
  return error.status === 401 ? 'This server asks for a key.' : plain(error.message, titles);
}

/**
 * The server counts objects from 0, people from 1, and by the names that they gave.
 * @param {string} text
 * @param {readonly string[]} titles
 */
function plain(text, titles) {
  const called = (/** @type {string} */ index) => (titles[Number(index)] ?? `object ${Number(index) + 1}`).replace(/^Object /, 'object ');
  const counted = text.replace(/^(upload failed|invalid image data): */i, '').replace(/\bobject (\d+)\b/gi, (_, index) => called(index));
  const sentence = counted.charAt(0).toUpperCase() + counted.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
