/**
 * Masks as paths to draw, made once for each mask and each degree of fineness.
 *
 * @typedef {import('./mask.js').Mask} Mask
 */

import { contoursOf, cornersOf, FINEST } from './contours.js';

/** @type {WeakMap<Mask, {rings: Float32Array[], paths: Map<number, Path2D>}>} */
const known = new WeakMap();

/**
 * @param {Mask} mask
 * @param {number} [scale] screen pixels per pixel of the picture: what they cannot show is left out
 * @returns {Path2D} in the picture; fill it by the even-odd rule
 */
export function outlineOf(mask, scale = 1) {
  let outline = known.get(mask);
  if (!outline) known.set(mask, (outline = { rings: contoursOf(mask), paths: new Map() }));
  const level = Math.max(0, Math.floor(Math.log2(1 / scale)));
  const path = outline.paths.get(level) ?? pathOf(outline.rings, FINEST * 2 ** level);
  outline.paths.set(level, path);
  return path;
}

/** @param {Float32Array[]} rings @param {number} tolerance */
function pathOf(rings, tolerance) {
  const path = new Path2D();
  for (const ring of rings) {
    cornersOf(ring, tolerance).forEach((at, i) => (i ? path.lineTo(ring[at], ring[at + 1]) : path.moveTo(ring[at], ring[at + 1])));
    path.closePath();
  }
  return path;
}
