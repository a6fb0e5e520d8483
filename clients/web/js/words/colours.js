/** Colours of outlines by the names that people have for them. */

import { COLOUR_NAMES } from '../palette.js';

/** @type {Record<string, string[]>} other words for a colour of the palette, the likeliest colour first */
const OTHER_WORDS = {
  red: ['coral'],
  orange: ['amber', 'coral'],
  yellow: ['amber'],
  gold: ['amber'],
  golden: ['amber'],
  purple: ['violet'],
  lilac: ['violet'],
  magenta: ['pink'],
  rose: ['pink'],
  turquoise: ['cyan'],
  teal: ['cyan'],
  aqua: ['cyan'],
  green: ['green', 'lime'],
  blue: ['blue', 'cyan'],
};

/** @param {string} word @returns {boolean} */
export const isColour = (word) => COLOUR_NAMES.includes(word) || Object.hasOwn(OTHER_WORDS, word);

/**
 * @param {string} word
 * @returns {number[]} indexes into the palette, the likeliest first
 */
export function coloursOf(word) {
  const names = Object.hasOwn(OTHER_WORDS, word) ? OTHER_WORDS[word] : [word];
  return names.map((name) => COLOUR_NAMES.indexOf(name)).filter((index) => index >= 0);
}
