/**
 * Masks with the strokes of the hand on them. Of each object the last one is kept: one more stroke is then one
 * stroke's work, and undo makes it anew.
 *
 * @typedef {import('./types.js').Candidate} Candidate
 * @typedef {import('./types.js').SelectedObject} SelectedObject
 */

import { candidateOf, pixelsOf } from './mask.js';
import { corrected } from './strokes.js';

export class Corrections {
  /** @type {{width: number, height: number}} of the picture */
  size = { width: 1, height: 1 };
  /** @type {Map<number, {last: import('./types.js').Stroke, base: Candidate | null, made: Candidate}>} by object */
  #latest = new Map();

  /** @param {{width: number, height: number}} size of another picture */
  reset(size) {
    this.size = size;
    this.#latest.clear();
  }

  /**
   * @param {SelectedObject} object
   * @param {Candidate | null} base the network's mask; null: there is nothing but the strokes
   * @returns {Candidate | null}
   */
  of({ id, strokes }, base) {
    const last = strokes.at(-1);
    if (!last) return base;
    const known = this.#latest.get(id);
    if (known?.last === last && known.base === base) return known.made;
    // A stroke belongs to one place in one list: what was before it is what was before it then.
    const isNext = known && known.base === base && known.last === strokes.at(-2);
    const from = isNext ? known.made : base;
    const { width, height } = this.size;
    const mask = corrected(from && pixelsOf(from), isNext ? [last] : strokes, width, height);
    const made = candidateOf(mask, base?.score ?? 1);
    this.#latest.set(id, { last, base, made });
    return made;
  }
}
