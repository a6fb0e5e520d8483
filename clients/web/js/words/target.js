/**
 * What a command is about: "it", "object 2", "the dog and the cat", "all but the second from the left".
 *
 * Reads words only; which objects they mean is found in `resolve.js`.
 *
 * @typedef {import('./places.js').Place} Place
 *
 * @typedef {Object} Description
 * @property {'this' | 'them' | 'all' | 'rest' | 'described'} kind
 *   this: the current object; them: those spoken of; all; rest: all but the current; described: by what follows
 * @property {string} noun  '' for object, one, thing
 * @property {number[]} numbers  of objects, from 1; -1: the last
 * @property {Place | null} place
 * @property {number} rank  "second from the left": 2; else 1
 * @property {'biggest' | 'smallest' | ''} size
 * @property {string} colour  '' or a word of `colours.js`
 * @property {boolean} plural
 * @property {number} count  "both": 2, "all three": 3; 0: not said
 *
 * @typedef {{of: Description[], except: Description[]}} Target
 */

import { isColour } from './colours.js';
import { isPlural, isSameName } from './names.js';
import { cardinal, numbersIn, ordinal } from './numbers.js';
import { placeBehind, placeIn } from './places.js';

/** @type {Description} */
const NOTHING_SAID = {
  kind: 'described',
  noun: '',
  numbers: [],
  place: null,
  rank: 1,
  size: '',
  colour: '',
  plural: false,
  count: 0,
};

const THIS = /^(?:it|this|that|him|her|this (?:one|thing|object)|that (?:one|thing|object)|the (?:object|thing|one|selected|current|same)|(?:the )?(?:selected|current|marked|highlighted|outlined|same)(?: (?:one|object|thing|area|part))?)$/;
const THEM = /^(?:them|these|those|these (?:ones|things|objects)|those (?:ones|things|objects))$/;
const ALL = /^(?:all|everything|every one|everyone|all of (?:it|them|these|those)|(?:all |every |each )?(?:of )?(?:the |my |these |those )?(?:marked |selected |outlined |highlighted )?(?:objects?|things?|items?|ones|selections?|stuff)|everything (?:marked|selected|(?:that is |that's |i(?:'ve| have)? )(?:marked|selected)))$/;
const REST = /^(?:(?:all |everything |everyone )?else|all (?:the )?others?|(?:all )?(?:of )?the (?:rest|others?|remaining|remainder)|(?:all )?(?:of )?the (?:other|remaining) (?:one|ones|objects?|things?)|rest|others)$/;
const GENERIC = /^(?:one|ones|object|objects|thing|things|item|items|mark|marks|selection|outline|mask|shape|area|part|figure|spot)$/;
const DETERMINER = /^(?:the|a|an|my|our|your|his|her|their|this|that|these|those|some)$/;
const BIG = /^(?:biggest|largest|big|large|bigger|larger|huge|hugest|greatest)$/;
const SMALL = /^(?:smallest|littlest|tiniest|small|little|tiny|smaller|tinier)$/;
const IGNORED = /^(?:whole|entire|complete|marked|selected|outlined|highlighted|coloured|colored|one's)$/;
/** Words that relate one thing to another, or tell a story: more than a description in a list can answer. */
const RELATION = /^(?:next|beside|besides|behind|between|above|below|under|underneath|over|around|against|with|without|wearing|holding|who|whose|which|where|when|because|if|unless|while|before|after|until|or|of|in|on|at|from|to|by|near|into|onto|and|but|than|like|as|is|are|was|were|be|i|you|we|he|she|they|not|no|never|half|really|very|so|nothing|what|how|why|all|every|it|this|that|the|a|an|remove|erase|delete|extract|cut|undo|redo|download|save|rename)$/;

/**
 * @param {string} text lower case, as `plain` makes it
 * @param {readonly string[]} names given by the user
 * @returns {Target | null} null: not understood
 */
export function readTarget(text, names) {
  const [whole, ...exceptions] = text.split(
    /,? (?:but not|and not|except(?:ing)?(?: for)?|apart from|other than|excluding|save for|but(?: for)?|minus|not) /,
  );
  if (exceptions.length > 1) return null;
  const of = readList(whole.replace(/^(everything|anything|all) (?:other|apart)$/, '$1'), names);
  const except = exceptions.length ? readList(exceptions[0], names) : [];
  if (!of || !except) return null;
  return { of, except };
}

/** @param {string} text @param {readonly string[]} names @returns {Description[] | null} */
function readList(text, names) {
  const single = readDescription(text, names);
  if (single) return [single];
  const parts = text.split(/ ?, ?(?:and )?| (?:and(?: also| then)?|plus|as well as|along with|together with|&) /).filter(Boolean);
  if (parts.length < 2) return null;
  const read = parts.map((part) => readDescription(part, names));
  // "objects 1 and 3", "the first and the third one": what follows is of the same kind.
  if (!read.every((part) => part !== null)) return null;
  return /** @type {Description[]} */ (read);
}

/** @param {string} phrase @param {readonly string[]} names @returns {Description | null} */
function readDescription(phrase, names) {
  let words = phrase.replace(/ (?:that|which|who)(?: is| are|'s|'re)? (?=(?:on|at|in|to|from|near|by) )/, ' ').trim();
  words = words.replace(/ (?:of|in|from|on) (?:the|this|my|that) (?:picture|photo|photograph|image|scene|frame|shot|pic|list)$/, '');
  words = words.replace(/^(?:just|only|exactly|specifically) /, '').replace(/ (?:only|alone|instead)$/, '');
  if (!words) return null;
  const named = names.find((name) => isSameName(words, name));
  if (named) return { ...NOTHING_SAID, noun: words, plural: isPlural(words) && !isPlural(named) };
  for (const [kind, pattern] of /** @type {const} */ ([['this', THIS], ['them', THEM], ['rest', REST], ['all', ALL]])) {
    if (pattern.test(words)) return { ...NOTHING_SAID, kind, plural: kind === 'all' || kind === 'them' };
  }
  const quantity = readQuantity(words);
  if (quantity) return quantity;
  const numbers = numbersIn(words.replace(/^the (?=object|number)/, ''));
  if (numbers) return { ...NOTHING_SAID, numbers, plural: numbers.length > 1 };
  return readQualities(words, names);
}

/** "both", "all three", "the first two": so many objects. @param {string} words @returns {Description | null} */
function readQuantity(words) {
  const sum = /^(?:both|all|the|these|those)?(?: of)?(?: the| them| these)? ?(\w+)?(?: of (?:them|these|those))?(?: objects| things| ones| of them)?$/.exec(words);
  if (/^both(?: of (?:them|these|those))?(?: (?:the )?(?:objects|things|ones))?$/.test(words)) return { ...NOTHING_SAID, kind: 'all', plural: true, count: 2 };
  const count = cardinal(sum?.[1]);
  if (count && count > 1 && /^(?:all|the|these|those)\b|objects$|things$/.test(words) && !/^\d+$/.test(words)) {
    return { ...NOTHING_SAID, kind: 'all', plural: true, count };
  }
  const ends = /^the (first|last) (\w+)(?: objects| ones| things)?$/.exec(words);
  const many = cardinal(ends?.[2]);
  if (!ends || !many) return null;
  const numbers = Array.from({ length: many }, (_, i) => (ends[1] === 'first' ? i + 1 : i - many));
  return { ...NOTHING_SAID, numbers, plural: many > 1 };
}

/**
 * Determiner, adjectives, noun, place: "the second big red car from the left".
 * @param {string} phrase
 * @param {readonly string[]} names
 * @returns {Description | null}
 */
function readQualities(phrase, names) {
  const found = { ...NOTHING_SAID };
  const outlined = /^(.*) (?:(?:outlined|marked|drawn|circled|shown|coloured|colored) in|with (?:the|a|an)) (\S+)(?: outline| mark| line| border)?$/.exec(phrase);
  const inColour = outlined && isColour(outlined[2]) ? outlined : null;
  if (inColour) found.colour = inColour[2];
  const described = inColour ? inColour[1] : phrase;
  const behind = placeBehind(described);
  let rest = behind ? behind.rest : described;
  found.place = behind?.place ?? null;
  const called = /^(?:.*? )?(?:called|named|labell?ed) (.+)$/.exec(rest);
  if (called) rest = called[1];
  rest = rest.replace(/^(?:all|every|each|both|everything|everyone|everybody|anything|anyone)(?: of)?\b ?/, (quantifier) => {
    found.plural = true;
    if (/^both/.test(quantifier)) found.count = 2;
    return '';
  });
  const words = rest.split(' ').filter(Boolean);
  while (words.length && DETERMINER.test(words[0])) words.shift();
  const many = words.length > 1 || behind ? cardinal(words[0]) : null;
  if (many && many > 1 && !/^(?:a|an)\b/.test(rest)) {
    found.count = many;
    found.plural = true;
    words.shift();
  }
  if (behind && /^(?:standing|sitting|walking|lying|located|marked)$/.test(words.at(-1) ?? '')) words.pop();
  let place = '';
  while (words.length && !names.some((name) => isSameName(words.join(' '), name))) {
    const [word, next] = words;
    if (BIG.test(word) && !found.size) found.size = 'biggest';
    else if (SMALL.test(word) && !found.size) found.size = 'smallest';
    else if (isColour(word) && !found.colour) found.colour = word;
    else if (ordinal(word) && found.rank === 1 && !found.numbers.length) {
      const rank = ordinal(word) ?? 1;
      if (behind || placeIn(`${place} ${next ?? ''}`.trim()) || /^(?:biggest|largest|smallest)$/.test(next ?? '')) found.rank = rank;
      else found.numbers = [rank];
    } else if (placeIn(word)) place = `${place} ${word}`.trim();
    else if ((/^(?:far|furthest|farthest)$/.test(word) && placeIn(`${word} ${next ?? ''}`)) || (word === 'most' && place)) place = `${place} ${word}`.trim();
    else if (!IGNORED.test(word)) break;
    words.shift();
  }
  if (place) {
    if (found.place) return null;
    found.place = placeIn(place);
    if (!found.place) return null;
  }
  if (GENERIC.test(words[0] ?? '') && words.length === 1) found.plural ||= isPlural(words[0]) || words[0] === 'ones';
  else if (words.length) {
    const number = words.length === 2 ? numbersIn(words.join(' ')) : null;
    if (number) found.numbers = number;
    else if (words.length > 4 || words.some((word) => RELATION.test(word) || /^\d+$/.test(word))) return null;
    else {
      found.noun = words.join(' ');
      found.plural ||= isPlural(found.noun);
    }
  }
  const said = found.noun || found.numbers.length || found.place || found.size || found.colour;
  return said && !(called && !found.noun) ? found : null;
}
