/** Numbers as people say and type them: "two", "2", "#2", "second", "2nd", "last". */

const CARDINALS = 'one two three four five six seven eight nine ten eleven twelve'.split(' ');
const ORDINALS = 'first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth'.split(' ');

/** What hearing makes of a number behind a word such as "object"; elsewhere these are words of their own. */
/** @type {Record<string, number>} */
const HEARD = { won: 1, to: 2, too: 2, tree: 3, for: 4, fore: 4, ate: 8 };

/**
 * @param {string | undefined} word
 * @returns {number | null} 1 or more
 */
export function cardinal(word) {
  if (/^#?\d{1,3}$/.test(word ?? '')) return Number(word?.replace('#', '')) || null;
  return CARDINALS.indexOf(word ?? '') + 1 || null;
}

/**
 * @param {string | undefined} word
 * @returns {number | null} 1 or more; -1: the last
 */
export function ordinal(word) {
  const digits = /^(\d{1,3})(?:st|nd|rd|th)$/.exec(word ?? '');
  if (digits) return Number(digits[1]) || null;
  if (word === 'last' || word === 'latest' || word === 'newest') return -1;
  return ORDINALS.indexOf(word ?? '') + 1 || null;
}

/**
 * @param {string | undefined} word behind "object" or "number"
 * @returns {number | null}
 */
export const heardNumber = (word) => cardinal(word) ?? HEARD[word ?? ''] ?? null;

/**
 * "2", "#2", "object two", "objects 1 to 3": one or several objects by number.
 * @param {string} phrase
 * @returns {number[] | null} 1 or more each
 */
export function numbersIn(phrase) {
  const named = /^(?:(?:objects?|numbers?|no\.?|nr\.?|item|selection|mark)(?: numbers?| no\.?)? ?)(.+)$/.exec(phrase);
  const rest = named ? named[1] : phrase;
  const range = /^(\S+?) ?(?:-|–|to|through|till|until) ?(\S+)$/.exec(rest);
  if (range) {
    const [from, to] = [cardinal(range[1]), cardinal(range[2])];
    if (from && to && from < to && to - from < 100) return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }
  const one = named ? heardNumber(rest) : cardinal(rest);
  return one ? [one] : null;
}
