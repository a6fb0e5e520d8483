/** Names of objects: how they are kept, compared and turned into file names. */

export const MAX_NAME = 40;

/**
 * @param {unknown} text
 * @returns {string} a name as it is kept: one line, no spaces around it, at most MAX_NAME characters
 */
export function cleanName(text) {
  if (typeof text !== 'string') return '';
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').replace(/\s+/g, ' ').trim();
  return [...line].slice(0, MAX_NAME).join('').trim();
}

/**
 * @param {{name?: string}} object
 * @param {number} index in the list, from 0
 * @returns {string} what the object is called on the page
 */
export const titleOf = (object, index) => object.name || `Object ${index + 1}`;

/**
 * @param {string} name
 * @returns {string} the name as it may stand in a file's name on every system; may be empty
 */
export function fileNameOf(name) {
  const plain = cleanName(name).replace(/[/\\:*?"<>|%#&{}$!'`@+=~^;,]+/g, ' ').replace(/\s+/g, ' ');
  return plain.replace(/^[. ]+|[. ]+$/g, '');
}

/** @param {string} text @returns {string} in lower case, without accents and punctuation; what is compared */
export function plain(text) {
  const bare = text.normalize('NFKD').replace(/\p{M}+/gu, '').toLowerCase();
  return bare.replace(/[’‘`´]/g, "'").replace(/[^\p{L}\p{N}'#§ -]+/gu, ' ').replace(/\s+/g, ' ').trim();
}

/** @type {Record<string, string>} */
const PLURALS = { people: 'person', men: 'man', women: 'woman', children: 'child', feet: 'foot', mice: 'mouse', geese: 'goose' };

/** @param {string} word @returns {string[]} the word, and what it may be the plural of */
function formsOf(word) {
  const bare = word.replace(/'s$|'$/, '');
  if (Object.hasOwn(PLURALS, bare)) return [bare, PLURALS[bare]];
  const forms = [bare];
  if (/[^su]s$/.test(bare) && bare.length > 3) forms.push(bare.slice(0, -1));
  if (/es$/.test(bare) && bare.length > 4) forms.push(bare.slice(0, -2));
  if (/ies$/.test(bare)) forms.push(bare.replace(/ies$/, 'y'));
  return forms;
}

/** @param {string} phrase @returns {boolean} whether its last word is a plural, as far as its end tells */
export function isPlural(phrase) {
  const last = plain(phrase).split(' ').at(-1) ?? '';
  return Object.hasOwn(PLURALS, last) || (/[^sui]s$/.test(last) && last.length > 3);
}

/** @param {string} phrase */
const withoutArticle = (phrase) => plain(phrase).replace(/^(?:the|a|an|my|our|your|this|that|these|those) (?=.)/, '');

/**
 * @param {string} said
 * @param {string} name
 * @returns {boolean} the same but for case, accents, article, plural and possessive
 */
export function isSameName(said, name) {
  const [a, b] = [said, name].map((phrase) => withoutArticle(phrase).split(' '));
  return a.length === b.length && a.every((word, i) => formsOf(word).some((form) => formsOf(b[i]).includes(form)));
}

/** @param {string} a @param {string} b @returns {boolean} one letter apart: a slip, or misheard */
export function isNearName(a, b) {
  const [short, long] = [withoutArticle(a), withoutArticle(b)].sort((x, y) => x.length - y.length);
  if (short.length < 3 || long.length - short.length > 1) return false;
  let at = 0;
  while (at < short.length && short[at] === long[at]) at += 1;
  const rest = short.length === long.length ? short.slice(at + 1) : short.slice(at);
  return rest === long.slice(at + 1);
}
