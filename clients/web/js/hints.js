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
  const { objects, current, named } = selection;
  const tap = mouse ? 'Click' : 'Tap';
  const lost = objects.findIndex((object) => previews.foundNothing(object));
  if (lost >= 0 && objects[lost].strokes.length) return `Nothing is left of ${named[lost].title}. Undo, or paint it`;
  if (lost >= 0) return `Nothing found for ${named[lost].title}. Undo, and ${tap.toLowerCase()} nearer to its middle`;
  if (brush) return brushText(selection, previews, mouse, brush);
  if (!objects.length) return `${tap} an object`;
  if (!current) return `${tap} another object`;
  if (previews.isPending(current)) return 'Looking…';
  if (!previews.maskOf(current)) return '';
  const { title } = named[objects.indexOf(current)];
  const [tapped, label] = [current.points.at(-1), current.labels.at(-1)];
  if (tapped && handOn(current.strokes, tapped) === 1 - Number(label)) {
    return label ? 'That part was erased by hand: paint it instead' : 'That part was painted by hand: erase it instead';
  }
  if (current.points.length <= 1) {
    return mouse
      ? `${title} selected. Click again to add a part, Shift-click to leave one out`
      : `${title} selected. Tap to add a part, hold to leave one out`;
  }
  return `${title} refined`;
}

/**
 * @param {import('./objects.js').Selection} selection
 * @param {import('./previews.js').Previews} previews
 * @param {boolean} mouse
 * @param {import('./brush.js').BrushTool} brush
 */
function brushText({ objects, current, named }, previews, mouse, brush) {
  if (!current) return objects.length ? 'Paint over another object' : 'Paint over an object';
  if (previews.isPending(current)) return 'Looking…';
  const { title } = named[objects.indexOf(current)];
  const strokes = current.strokes.length;
  if (strokes) return `${title} corrected by hand: ${strokes} ${strokes === 1 ? 'stroke' : 'strokes'}`;
  const other = mouse ? '. Shift turns it round' : '. Two fingers move the picture';
  return `${brush === 'erase' ? 'Erase what does not belong to' : 'Paint what belongs to'} ${title}${other}`;
}
