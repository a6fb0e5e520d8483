/**
 * Which of the marked objects a description means. Knows where objects are and what the user called them, not what
 * they show: no network here reads words. Where the words fit no object or several, it says so and picks none.
 *
 * @typedef {import('./target.js').Description} Description
 * @typedef {import('./places.js').Place} Place
 *
 * @typedef {Object} Marked
 * @property {number} id
 * @property {string} name  given by the user; '' if none
 * @property {string} title  "Object 1", or the name
 * @property {number} colour  index into the palette
 * @property {[number, number]} at  its middle; x, y as shares of the picture
 * @property {number} area  pixels; 0: not known yet
 *
 * @typedef {Object} Scene
 * @property {readonly Marked[]} objects
 * @property {number | null} currentId
 * @property {readonly number[]} spokenOf  what the last command was about, where "it" means that
 *
 * @typedef {Object} Found
 * @property {number[]} ids  in the order of the list; empty: none
 * @property {string} how  which one, where a place or a colour told it: "on the left", "outlined in coral"
 * @property {string} problem  why there is none, or what to ask before the work on `ids` begins
 * @property {{place: Place, noun: string} | null} look  nothing is marked where the words say: a tap there may find it
 * @property {boolean} allExcepted  what was left out is all there is: `ids` are those
 */

import { colourNameOf } from '../palette.js';
import { coloursOf } from './colours.js';
import { isNearName, isSameName } from './names.js';
import { placeText } from './places.js';

/** Two objects nearer to each other than this share of the picture are neither left nor right of one another. */
const SAME_PLACE = 0.03;
/** Areas that differ by less are neither bigger nor smaller. */
const SAME_AREA = 0.02;

/** @type {Found} */
const NONE = { ids: [], how: '', problem: '', look: null, allExcepted: false };

/** @param {readonly string[]} titles @returns {string} "A", "A and B", "A, B and C" */
export function listed(titles) {
  return titles.length < 2 ? titles.join('') : `${titles.slice(0, -1).join(', ')} and ${titles.at(-1)}`;
}

/** @param {readonly Marked[]} objects @param {string} [how] @returns {Found} */
const these = (objects, how = '') => ({ ...NONE, ids: objects.map(({ id }) => id), how });
/** @param {string} problem @returns {Found} */
const none = (problem) => ({ ...NONE, problem });

/**
 * @param {import('./target.js').Target} target
 * @param {Scene} scene
 * @returns {Found}
 */
export function resolve(target, scene) {
  const found = target.of.map((description) => resolveOne(description, scene));
  const left = target.except.map((description) => resolveOne(description, scene));
  if (found.length === 1 && !left.length) return found[0];
  const failed = [...found, ...left].find(({ ids, problem, look }) => !ids.length || problem || look);
  if (failed) return none(failed.problem || nothingThere(failed.look, scene));
  const without = new Set(left.flatMap(({ ids }) => ids));
  const wanted = new Set(found.flatMap(({ ids }) => ids).filter((id) => !without.has(id)));
  if (!wanted.size) return { ...NONE, ids: [...without], allExcepted: true };
  return these(scene.objects.filter(({ id }) => wanted.has(id)));
}

/** @param {Found['look']} look @param {Scene} scene */
function nothingThere(look, scene) {
  const where = look ? placeText(look.place) : 'there';
  return `Nothing is marked ${where}. ${scene.objects.length ? 'Tap it first, then say it again.' : 'Tap the objects first, then say it again.'}`;
}

/** @param {Description} wish @param {Scene} scene @returns {Found} */
function resolveOne(wish, scene) {
  const { objects, currentId, spokenOf } = scene;
  if (!objects.length) return nothingMarked(wish);
  if (wish.kind === 'this' || (wish.kind === 'them' && spokenOf.length)) return resolveThis(scene);
  if (wish.kind === 'all' || wish.kind === 'them') {
    if (!wish.count || wish.count === objects.length) return these(objects);
    return none(`${objects.length === 1 ? 'One object is' : `${objects.length} objects are`} marked, not ${wish.count}.`);
  }
  if (wish.kind === 'rest') {
    const kept = spokenOf.length ? spokenOf : currentId === null ? [] : [currentId];
    if (!kept.length) return none('The rest of what? Tap the object that is to stay first.');
    const others = objects.filter(({ id }) => !kept.includes(id));
    return others.length ? these(others) : none('No other object is marked.');
  }
  if (wish.numbers.length) return byNumber(wish, objects);
  return byDescription(wish, objects);
}

/** @param {Description} wish @returns {Found} */
function nothingMarked({ kind, noun, place, plural, rank, colour, size }) {
  if (kind === 'described' && place && !plural && !place.extreme && rank === 1 && !size) return { ...NONE, look: { place, noun } };
  const what = noun ? `the ${noun}` : kind === 'all' || plural ? 'the objects' : 'the object';
  const words = noun && !colour ? ' Words for things are not recognised in a picture.' : '';
  return none(`Nothing is marked yet. Tap ${what} first, then say it again.${words}`);
}

/** @param {Scene} scene @returns {Found} */
function resolveThis({ objects, currentId, spokenOf }) {
  const spoken = objects.filter(({ id }) => spokenOf.includes(id));
  if (spoken.length) return these(spoken);
  const current = objects.find(({ id }) => id === currentId) ?? (objects.length === 1 ? objects[0] : null);
  return current ? these([current]) : whichOf(objects);
}

/** @param {readonly Marked[]} objects @returns {Found} */
const whichOf = (objects) => none(`Which one: ${listed(objects.map(({ title }) => title)).replace(/ and (?=[^ ]+( \d+)?$)/, ' or ')}?`);

/** @param {Description} wish @param {readonly Marked[]} objects @returns {Found} */
function byNumber({ numbers, noun, place, colour }, objects) {
  if (noun || place || colour) return none('Say either a number or a description, for example “object 2”.');
  const wanted = numbers.map((number) => objects.at(number > 0 ? number - 1 : number));
  const missing = numbers.find((number, i) => !wanted[i] || Math.abs(number) > objects.length);
  if (missing === undefined) return these(objects.filter((object) => wanted.includes(object)));
  const count = objects.length === 1 ? 'one is' : `${objects.length} are`;
  return none(`There is no object ${Math.abs(missing)}: ${count} marked.`);
}

/** @param {Description} wish @param {readonly Marked[]} objects @returns {Found} */
function byDescription(wish, objects) {
  const { noun, place, size, colour } = wish;
  const exact = noun ? objects.filter(({ name }) => name && isSameName(noun, name)) : [];
  const named = exact.length ? exact : noun ? objects.filter(({ name }) => name && isSameName(noun, name.replace(/ \d+$/, ''))) : [];
  const unknown = Boolean(noun) && !named.length;
  if (unknown) {
    const near = objects.filter(({ name }) => isNearName(noun, name));
    if (near.length === 1) return { ...these(near), problem: `Nothing is called “${noun}”. Do you mean ${near[0].title}?` };
  }
  // A word that is no name may mean whatever has no name yet.
  let left = named.length ? named : unknown ? objects.filter(({ name }) => !name) : objects;
  if (colour) {
    const sought = coloursOf(colour).map((index) => left.filter((object) => object.colour === index));
    left = sought.find((some) => some.length) ?? [];
    if (!left.length) {
      const colours = [...new Set(objects.map((object) => colourNameOf(object.colour)))];
      return none(`No outline is ${colour}${noun ? ` and called “${noun}”` : ''}. Marked: ${listed(colours)}.`);
    }
  }
  if (place) return byPlace({ ...wish, place }, left, unknown);
  if (size) left = bySize(left, size, wish.rank);
  const how = colour ? `outlined in ${colourNameOf(left[0]?.colour ?? 0)}` : '';
  const enough = left.length === 1 || (left.length > 1 && wish.plural && !unknown && (!wish.count || wish.count === left.length));
  if (unknown) {
    if (left.length !== 1) return none(noSuchName(noun, objects));
    return { ...these(left), problem: `Nothing is called “${noun}”. Do you mean ${left[0].title}?` };
  }
  return enough ? these(left, left.length === 1 ? how : '') : whichOf(left.length ? left : objects);
}

/** @param {string} noun @param {readonly Marked[]} objects */
function noSuchName(noun, objects) {
  return `Nothing is called “${noun}”, and words for things are not recognised in a picture. Marked: ${listed(objects.map(({ title }) => title))}.`;
}

/**
 * @param {Description & {place: Place}} wish
 * @param {readonly Marked[]} objects
 * @param {boolean} unknown whether a noun was said that is nobody's name
 * @returns {Found}
 */
function byPlace({ place, size, plural, rank, noun, count }, objects, unknown) {
  const there = objects.filter((object) => fits(object, place));
  const how = placeText(place);
  if (plural) {
    if (count && count !== there.length) return none(`${there.length || 'None'} of the marked objects ${there.length === 1 ? 'is' : 'are'} ${how}, not ${count}.`);
    return there.length ? these(there) : none(`Nothing is marked ${how}. Tap the objects first, then say it again.`);
  }
  if (size) {
    const sized = bySize(there, size, rank);
    return sized.length === 1 ? these(sized, how) : none(`It is not clear which one ${how} is meant. Say its number or its name.`);
  }
  // With two or more to compare, "the left one" is the one further left; of one alone it must be true.
  const compared = (!unknown && objects.length > 1) || place.extreme || rank > 1 ? objects : there;
  if (!compared.length) return { ...NONE, look: { place, noun } };
  if (rank > compared.length) return none(`Only ${compared.length} of the marked objects can be meant.`);
  const sorted = [...compared].sort((a, b) => distance(a, place, compared) - distance(b, place, compared));
  const at = (/** @type {number} */ i) => distance(sorted[i], place, compared);
  const unclear = [rank - 2, rank].find((i) => sorted[i] && Math.abs(at(i) - at(rank - 1)) < SAME_PLACE);
  if (unclear !== undefined) return whichOf([sorted[rank - 1], sorted[unclear]].sort((a, b) => objects.indexOf(a) - objects.indexOf(b)));
  return these([sorted[rank - 1]], rank === 1 ? how : '');
}

/** @param {Marked} object @param {Place} place */
function fits({ at }, place) {
  return [place.x, place.y].every((side, axis) => {
    if (side === null) return true;
    return side === 0 ? Math.abs(at[axis] - 0.5) <= 0.25 : side * (at[axis] - 0.5) > 0;
  });
}

/**
 * @param {Marked} object
 * @param {Place} place
 * @param {readonly Marked[]} all
 * @returns {number} how far it is from there, as a share of the picture; the least is meant
 */
function distance({ at }, { x, y }, all) {
  const middle = x === 0 && y === 0;
  if (middle && all.length % 2 && all.length > 1) {
    // "The middle one" of three is the one between the others.
    const spread = [0, 1].map((axis) => Math.max(...all.map((o) => o.at[axis])) - Math.min(...all.map((o) => o.at[axis])));
    const axis = spread[0] >= spread[1] ? 0 : 1;
    const ranks = all.map((o) => o.at[axis]).sort((a, b) => a - b);
    return Math.abs(ranks.indexOf(at[axis]) - (all.length - 1) / 2);
  }
  const parts = [x, y].map((side, axis) => (side === null ? 0 : side === 0 ? Math.abs(at[axis] - 0.5) : -side * at[axis]));
  return middle ? Math.hypot(...parts) : parts[0] + parts[1];
}

/** @param {readonly Marked[]} objects @param {string} size @param {number} rank @returns {Marked[]} several where it is a draw */
function bySize(objects, size, rank) {
  const sorted = [...objects].sort((a, b) => (size === 'biggest' ? b.area - a.area : a.area - b.area));
  const found = sorted[rank - 1];
  if (!found || objects.some(({ area }) => !area)) return objects.length === 1 ? [...objects] : [];
  return objects.filter(({ area }) => Math.abs(area - found.area) <= SAME_AREA * found.area);
}
