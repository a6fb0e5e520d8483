/** Asks the user for the server's key. */

import { byId } from './dom.js';

const dialog = byId('key', HTMLDialogElement);
const field = byId('key-value', HTMLInputElement);
const remember = byId('key-remember', HTMLInputElement);

/**
 * @param {boolean} wrong the server did not know the last one
 * @returns {Promise<import('./api_key.js').GivenKey | null>} null where the user gives none
 */
export function askForKey(wrong) {
  byId('key-title').textContent = wrong ? 'The server does not know this key' : 'This server asks for a key';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    const given = () => {
      const key = field.value.trim();
      // Not left in the page for whoever looks at it next.
      field.value = '';
      resolve(dialog.returnValue === 'use' && key ? { key, remember: remember.checked } : null);
    };
    dialog.addEventListener('close', given, { once: true });
  });
}
