/**
 * What survives a reload: the job in the address (after the #, so it is never sent), the selection in the browser:
 * of each tab in its sessionStorage, of the last picture also in localStorage.
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
  const text = JSON.stringify(what);
  const isKept = write(() => sessionStorage, text);
  if (!isKept) write(() => sessionStorage, null); // What it held is older than what the other may hold.
  return write(() => localStorage, text) || isKept;
}

/** @param {() => Storage} storage @param {string | null} text null: takes it out */
function write(storage, text) {
  try {
    if (text === null) storage().removeItem(KEY);
    else storage().setItem(KEY, text);
    return true;
  } catch {
    return false; // Full or forbidden.
  }
}

/** @param {() => Storage} storage @returns {Remembered | null} */
function read(storage) {
  try {
    const what = JSON.parse(storage().getItem(KEY) ?? 'null');
    return typeof what?.jobId === 'string' && typeof what.name === 'string' ? what : null;
  } catch {
    return null;
  }
}

/** @returns {Remembered | null} the picture that was last worked on and not deleted */
export function recallLast() {
  return read(() => localStorage);
}

/**
 * @param {string} jobId
 * @returns {Remembered | null}
 */
export function recall(jobId) {
  return [read(() => sessionStorage), recallLast()].find((what) => what?.jobId === jobId) ?? null;
}

export function forget() {
  const mine = read(() => sessionStorage);
  // Another tab's picture may have been the last one since.
  if (!mine || mine.jobId === recallLast()?.jobId) write(() => localStorage, null);
  write(() => sessionStorage, null);
}
