/** One sentence on what to do next. */

/**
 * @param {import('./objects.js').Selection} selection
 * @param {import('./previews.js').Previews} previews
 * @param {boolean} mouse
 * @returns {string}
 */
export function hintText(selection, previews, mouse) {
  const { objects, current } = selection;
  const tap = mouse ? 'Click' : 'Tap';
  const lost = objects.findIndex((object) => previews.foundNothing(object));
  if (lost >= 0) return `Nothing found for object ${lost + 1}. Undo, and ${tap.toLowerCase()} nearer to its middle`;
  if (!objects.length) return `${tap} an object`;
  if (!current) return `${tap} another object`;
  if (previews.isPending(current)) return 'Looking…';
  if (!previews.maskOf(current)) return '';
  const number = objects.indexOf(current) + 1;
  if (current.points.length <= 1) {
    return mouse
      ? `Object ${number} selected. Click again to add a part, Shift-click to leave one out`
      : `Object ${number} selected. Tap to add a part, hold to leave one out`;
  }
  return `Object ${number} refined`;
}
