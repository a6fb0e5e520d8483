/**
 * The brush as the user handles it: painting or erasing, how large, the slider and the keys for it.
 *
 * Its size is kept as a share of the picture's longer side, so that it suits the next picture, too.
 *
 * @typedef {'paint' | 'erase'} BrushTool
 */

import { byId } from './dom.js';

/** Radius as a share of the longer side: first, largest. The smallest is one pixel. */
const FIRST = 0.025;
const LARGEST = 0.12;
const SMALLEST_PX = 0.5;
const STEP = 1.25;

export class Brush {
  /** @type {BrushTool | null} */
  tool = null;
  #share = FIRST;

  /** @param {import('./stage/stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.slider = byId('brush-size', HTMLInputElement);
    this.slider.addEventListener('input', () => {
      const { smallest, largest } = this.#limits;
      this.#resize(smallest * (largest / smallest) ** (Number(this.slider.value) / 100));
    });
  }

  /** Radius, pixels of the picture. */
  get radius() {
    const { smallest, largest } = this.#limits;
    return Math.min(Math.max(this.#share * this.#side, smallest), largest);
  }

  get #side() {
    const { width, height } = this.stage.view.picture;
    return Math.max(width, height);
  }

  get #limits() {
    return { smallest: SMALLEST_PX, largest: Math.max(LARGEST * this.#side, 2) };
  }

  /** @param {BrushTool | null} tool null: taps instead */
  take(tool) {
    this.tool = tool;
    byId('brush').hidden = tool === null;
    this.#show();
  }

  /** @param {number} direction 1 larger, -1 smaller */
  step(direction) {
    if (!this.tool) return;
    const { smallest, largest } = this.#limits;
    this.#resize(Math.min(Math.max(this.radius * STEP ** direction, smallest), largest));
  }

  /** @param {number} radius */
  #resize(radius) {
    this.#share = radius / this.#side;
    this.#show();
    this.stage.brushwork.showSize();
  }

  #show() {
    const { smallest, largest } = this.#limits;
    const { radius } = this;
    this.stage.brush = this.tool && { radius, erase: this.tool === 'erase' };
    const across = Math.max(1, Math.round(2 * radius));
    this.slider.value = String((100 * Math.log(radius / smallest)) / Math.log(largest / smallest));
    this.slider.setAttribute('aria-valuetext', `${across} pixels across`);
    byId('brush-across').textContent = `${across} px`;
  }
}
