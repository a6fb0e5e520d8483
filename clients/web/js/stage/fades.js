/**
 * How masks come and go: a new one quickly gets its full colour, and from one place hovered over to the next the
 * old one goes as the new one comes. Nothing is ever blank in between. Pure but for what it remembers.
 *
 * @typedef {import('../mask.js').Mask} Mask
 * @typedef {import('./paint.js').PaintedObject} PaintedObject
 */

const FADE_MS = 120;
/** A new mask begins with this share of its colour: the first frame shows it already. */
const FIRST = 0.4;

export class Fades {
  /** @type {Mask | null} */
  #hover = null;
  /** @type {Mask | null} */
  #hoverBefore = null;
  #hoverSince = -Infinity;
  #time = 0;
  /** @type {Map<number, number>} when an object's mask was first drawn */
  #since = new Map();

  /**
   * @param {readonly PaintedObject[]} objects
   * @param {Mask | null} hover
   * @param {number} time ms
   * @param {boolean} still everything at once
   */
  update(objects, hover, time, still) {
    const shown = objects.filter(({ mask }) => mask);
    for (const id of this.#since.keys()) if (!shown.some((object) => object.id === id)) this.#since.delete(id);
    for (const { id, mask, strokes } of shown) {
      // What was hovered over or painted is on the screen already.
      const isSeen = still || mask === this.#hover || strokes.length > 0;
      if (!this.#since.has(id)) this.#since.set(id, isSeen ? -Infinity : time);
    }
    if (hover !== this.#hover) {
      const taken = shown.some(({ mask }) => mask === this.#hover);
      this.#hoverBefore = taken ? null : this.#hover;
      this.#hover = hover;
      this.#hoverSince = still ? -Infinity : time;
    }
    this.#time = time;
  }

  /** @param {number} since @returns {number} 0 to 1 */
  #share(since) {
    return Math.min((this.#time - since) / FADE_MS, 1);
  }

  /** @param {PaintedObject} object @returns {number} strength of its colour, 0 to 1 */
  of({ id }) {
    return FIRST + (1 - FIRST) * this.#share(this.#since.get(id) ?? -Infinity);
  }

  /** @returns {[Mask, number][]} what is hovered over, and what was until just now, with their strengths */
  get hovers() {
    const share = this.#share(this.#hoverSince);
    /** @type {[Mask, number][]} */
    const hovers = [];
    if (this.#hoverBefore && share < 1) hovers.push([this.#hoverBefore, 1 - share]);
    if (this.#hover) hovers.push([this.#hover, this.#hoverBefore ? share : FIRST + (1 - FIRST) * share]);
    return hovers;
  }

  /** Whether the next frame looks different. */
  get areMoving() {
    return [this.#hoverSince, ...this.#since.values()].some((since) => this.#share(since) < 1);
  }
}
