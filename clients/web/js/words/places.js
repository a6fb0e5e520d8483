/**
 * Places in a picture as people say them: "on the left", "upper right corner", "leftmost", "in the middle".
 *
 * @typedef {-1 | 0 | 1} Side  left or top, middle, right or bottom
 *
 * @typedef {Object} Place
 * @property {Side | null} x  null: not said
 * @property {Side | null} y
 * @property {boolean} extreme  "leftmost": further left than the others, wherever that is
 */

/** @type {Record<string, Side>} */
const ACROSS = { left: -1, lefthand: -1, right: 1, righthand: 1 };
/** @type {Record<string, Side>} */
const DOWN = { top: -1, upper: -1, bottom: 1, lower: 1 };
/** @type {Record<string, Partial<Place>>} */
const EXTREMES = {
  leftmost: { x: -1 },
  rightmost: { x: 1 },
  topmost: { y: -1 },
  uppermost: { y: -1 },
  bottommost: { y: 1 },
  lowest: { y: 1 },
  lowermost: { y: 1 },
  highest: { y: -1 },
};
const MIDDLE = /^(middle|cent(?:re|er)(?:ed|d)?|central|mid)$/;
const EXTREME = /^(far|furthest|farthest|extreme|very)$/;
const FILLER = /^(hand|side|corner|edge|half|part|third|end|area|region|of|the)$/;

/**
 * @param {string} words
 * @returns {Place | null} null where any word says something else than a place
 */
export function placeIn(words) {
  /** @type {Place} */
  const place = { x: null, y: null, extreme: false };
  let middles = 0;
  for (const word of words.replaceAll('-', ' ').replace(/\b(left|right|top|bottom|upper|lower) most\b/, '$1most').split(' ').filter(Boolean)) {
    if (word in ACROSS && place.x === null) place.x = ACROSS[word];
    else if (word in DOWN && place.y === null) place.y = DOWN[word];
    else if (Object.hasOwn(EXTREMES, word)) Object.assign(place, EXTREMES[word], { extreme: true });
    else if (EXTREME.test(word)) place.extreme = true;
    else if (MIDDLE.test(word)) middles += 1;
    else if (!FILLER.test(word)) return null;
  }
  if (middles) {
    if (place.x === null) place.x = 0;
    if (place.y === null && (place.x === 0 || middles > 1)) place.y = 0;
  }
  return place.x === null && place.y === null ? null : place;
}

const WHERE = String.raw`(?:far |very |furthest |farthest |extreme )?(?:(?:upper|lower|top|bottom|middle|cent(?:re|er)|left|right)[ -]?)?` +
  String.raw`(?:left|right|top|bottom|middle|cent(?:re|er))(?:[ -]?hand)?(?: most)?(?: side| corner| edge| half| part| third| end)?`;

/** "…on the left", "…in the upper right corner", "…to the right" at the end of a phrase. */
const BEHIND = new RegExp(String.raw`^(.*?) ?\b(?:over )?(?:on|at|in|to|from|near|by|towards?|along)(?: the| its| my)? (${WHERE})$`);

/**
 * Takes a place from the end of a phrase.
 * @param {string} phrase
 * @returns {{rest: string, place: Place} | null}
 */
export function placeBehind(phrase) {
  const found = BEHIND.exec(phrase);
  const place = found && placeIn(found[2]);
  return found && place ? { rest: found[1].trim(), place } : null;
}

/**
 * Where a tap goes that looks for something there: the middle of that third of the picture.
 * @param {Place} place
 * @param {number} width pixels
 * @param {number} height pixels
 * @returns {import('../types.js').Point}
 */
export function middleOf({ x, y }, width, height) {
  const at = (/** @type {Side | null} */ side, /** @type {number} */ size) =>
    Math.min(size - 1, Math.floor((0.5 + (side ?? 0) / 3) * size));
  return [at(x, width), at(y, height)];
}

/** @param {Place} place @returns {string} as in "on the left", "at the top right", "in the middle" */
export function placeText({ x, y }) {
  const across = x === -1 ? 'left' : x === 1 ? 'right' : '';
  const down = y === -1 ? 'top' : y === 1 ? 'bottom' : '';
  if (down) return `at the ${down}${across && ` ${across}`}`;
  return across ? `on the ${across}` : 'in the middle';
}
