/**
 * What survives a reload: the job in the address (after the #, so it is never sent), the selection in the browser.
 *
 * @typedef {Object} Remembered
 * @property {string} jobId
 * @property {string} name of the picture's file
 * @property {any} selection
 * @property {'removed' | 'cutouts'} [view]
 * @property {import('./types.js').Named[]} [sent]  what the job is about
 */

const KEY = 'tapcut.job';

/** @returns {string | null} the job named in the address */
export function jobInAddress() {
  return /^#job=([0-9A-Za-z_-]{6,128})$/.exec(location.hash)?.[1] ?? null;
}

/** @param {string | null} jobId */
export function setJobInAddress(jobId) {
  const hash = jobId ? `#job=${jobId}` : '';
  if (location.hash !== hash) history.replaceState(null, '', location.pathname + location.search + hash);
}

/**
 * @param {Remembered} what
 * @returns {boolean} false: storage is full or forbidden. A reload then comes back to the job, and at best to what
 *   was kept of the selection before
 */
export function remember(what) {
  try {
    localStorage.setItem(KEY, JSON.stringify(what));
    return true;
  } catch {
    return false;
  }
}

/** @returns {Remembered | null} the picture that was last worked on and not deleted */
export function recallLast() {
  try {
    const what = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    return typeof what?.jobId === 'string' && typeof what.name === 'string' ? what : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} jobId
 * @returns {Remembered | null}
 */
export function recall(jobId) {
  const last = recallLast();
  return last?.jobId === jobId ? last : null;
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // See `remember`.
  }
}
