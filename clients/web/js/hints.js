/** One sentence on what to do next. */

import { handOn } from './strokes.js';

/**
 * @param {import('./objects.js').Selection} selection
 * @param {import('./previews.js').Previews} previews
 * @param {boolean} mouse
 * @param {import('./brush.js').BrushTool | null} brush in the hand
 * @returns {string}
 */
export function hintText(selection, previews, mouse, brush) {
  const { objects, current } = selection;
  const tap = mouse ? 'Click' : 'Tap';
  const lost = objects.findIndex((object) => previews.foundNothing(object));
  if (lost >= 0 && objects[lost].strokes.length) return `Nothing is left of object ${lost + 1}. Undo, or paint it`;
  if (lost >= 0) return `Nothing found for object ${lost + 1}. Undo, and ${tap.toLowerCase()} nearer to its middle`;
  if (brush) return brushText(objects, current, previews, mouse, brush);
  if (!objects.length) return `${tap} an object`;
  if (!current) return `${tap} another object`;
  if (previews.isPending(current)) return 'Looking…';
  if (!previews.maskOf(current)) return '';
  const number = objects.indexOf(current) + 1;
  const [tapped, label] = [current.points.at(-1), current.labels.at(-1)];
  if (tapped && handOn(current.strokes, tapped) === 1 - Number(label)) {
    return label ? 'That part was erased by hand: paint it instead' : 'That part was painted by hand: erase it instead';
  }
  if (current.points.length <= 1) {
    return mouse
      ? `Object ${number} selected. Click again to add a part, Shift-click to leave one out`
      : `Object ${number} selected. Tap to add a part, hold to leave one out`;
  }
  return `Object ${number} refined`;
}

/**
 * @param {readonly import('./types.js').SelectedObject[]} objects
 * @param {import('./types.js').SelectedObject | null} current
 * @param {import('./previews.js').Previews} previews
 * @param {boolean} mouse
 * @param {import('./brush.js').BrushTool} brush
 */
function brushText(objects, current, previews, mouse, brush) {
  if (!current) return objects.length ? 'Paint over another object' : 'Paint over an object';
  if (previews.isPending(current)) return 'Looking…';
  const number = objects.indexOf(current) + 1;
  const strokes = current.strokes.length;
  if (strokes) return `Object ${number} corrected by hand: ${strokes} ${strokes === 1 ? 'stroke' : 'strokes'}`;
  const other = mouse ? '. Shift turns it round' : '. Two fingers move the picture';
  return `${brush === 'erase' ? 'Erase what does not belong to' : 'Paint what belongs to'} object ${number}${other}`;
}
