/** What is answered to a command, in plain sentences. */

import { listed } from './resolve.js';

/** @type {Record<import('./intent.js').Work, [string, string, string]>} doing, to do, the button that confirms */
const WORK = {
  remove: ['Removing', 'Remove', 'Yes, remove it'],
  extract: ['Cutting out', 'Cut out', 'Yes, cut it out'],
  both: ['Cutting out and removing', 'Cut out and remove', 'Yes, do both'],
};

/** @param {readonly string[]} titles @returns {string} "Dog", "2 objects: Object 1 and Dog" */
const counted = (titles) => (titles.length > 1 ? `${titles.length} objects: ${listed(titles)}` : listed(titles));

/**
 * @param {import('./intent.js').Work} action
 * @param {readonly string[]} titles
 * @param {string} [how] "on the left"
 * @returns {string} "Removing 2 objects: Object 1 and Dog."
 */
export const doingText = (action, titles, how = '') => `${WORK[action][0]} ${counted(titles)}${how && `, ${how}`}.`;

/** @param {import('./intent.js').Work} action @param {readonly string[]} titles @param {string} [how] @returns {string} what Enter would do */
export const wouldText = (action, titles, how = '') => `${WORK[action][1]} ${counted(titles)}${how && `, ${how}`}`;

/** @param {import('./intent.js').Work} action @returns {string} */
export const yesText = (action) => WORK[action][2];

const EXAMPLES = 'Try “remove it”, “cut out the left one”, “remove all but object 2”, “call it dog” or “undo”.';

/** @type {Record<import('./intent.js').Reason, string>} */
const UNCLEAR = {
  empty: `Type what to do. ${EXAMPLES}`,
  verb: `That was not understood, so nothing was done. ${EXAMPLES}`,
  target: 'It is not clear which objects are meant, so nothing was done. Say a number, a name or a place: “object 2”, “the dog”, “the one on the left”.',
  negated: 'Nothing was done, as you said.',
  question: `Questions are not answered here, and nothing was done. ${EXAMPLES}`,
  two: 'One thing at a time, please: nothing was done. For example “cut out the dog”, and then “remove the others”.',
  crop: 'Is it to stay or to go? Say “cut out the dog” to keep it alone, or “remove the dog” to be rid of it.',
};

/** @param {import('./intent.js').Reason} why @returns {string} */
export const unclearText = (why) => UNCLEAR[why];

export const HELP = `Mark objects with a tap, then say what to do with them by number, name, place, size or colour of the outline. ${EXAMPLES}`;
