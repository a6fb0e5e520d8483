/** The one place where errors are shown: what happened, what to do, and a button where one helps. */

import { byId, icon, make } from './dom.js';

const box = byId('notice');

/**
 * @param {string} text what happened
 * @param {string} advice what to do
 * @param {{label: string, run: () => void}} [action]
 */
export function showNotice(text, advice, action) {
  const words = make('div', {}, make('strong', {}, text), ' ', advice);
  if (action) {
    const run = () => {
      hideNotice();
      action.run();
    };
    words.append(make('br'), make('button', { type: 'button', class: 'button', on: { click: run } }, action.label));
  }
  const close = make(
    'button',
    { type: 'button', class: 'tool', 'aria-label': 'Close this message', on: { click: hideNotice } },
    icon('close'),
  );
  box.replaceChildren(icon('alert'), words, close);
}

/**
 * Said to those who listen instead of looking.
 * @param {string} text
 */
export function say(text) {
  const spoken = byId('spoken');
  if (spoken.textContent !== text) spoken.textContent = text;
}

export function hideNotice() {
  box.replaceChildren();
}
