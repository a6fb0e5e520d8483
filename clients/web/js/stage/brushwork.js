/**
 * The brush over the picture: its cursor, and the stroke that is being made with it.
 *
 * @typedef {import('../types.js').Stroke} Stroke
 * @typedef {{x: number, y: number, pressure: number | null}} Sample  CSS pixels; pressure 0 to 1 of a pen, else null
 */

import { shortened } from '../strokes.js';
import { LiveStroke } from './live_stroke.js';

/** What a stroke may lose in being shortened, CSS pixels at the zoom it was made at. */
const SHORTEN_PX = 0.25;
/** A pen that only just touches paints with this share of the brush. */
const LIGHTEST = 0.3;
const SHOWN_MS = 900;

export class Brushwork {
  /** Radius in pixels of the picture, and what it does; null: the hand holds no brush. @type {{radius: number, erase: boolean} | null} */
  #brush = null;
  /** @type {{erase: boolean, path: number[], drawn: number} | null} */
  #stroke = null;
  #frame = 0;
  #hides = 0;

  /**
   * @param {import('./view.js').View} view
   * @param {HTMLCanvasElement} canvas for the object under the brush
   * @param {HTMLElement} cursor a circle
   */
  constructor(view, canvas, cursor) {
    this.view = view;
    this.cursor = cursor;
    this.live = new LiveStroke(canvas);
  }

  get brush() {
    return this.#brush;
  }

  set brush(brush) {
    this.#brush = brush;
    if (!brush) this.point(null);
  }

  get isPainting() {
    return this.#stroke !== null;
  }

  /**
   * @param {Sample} sample
   * @param {boolean} inverted
   * @param {HTMLCanvasElement} like
   * @param {import('../mask.js').Mask | null} mask of the object under the brush, before the stroke
   * @param {string} colour
   */
  begin(sample, inverted, like, mask, colour) {
    if (!this.#brush) return;
    this.#stroke = { erase: this.#brush.erase !== inverted, path: [], drawn: 0 };
    this.live.begin(like, this.view, mask, colour, like.width / this.view.screen.width);
    this.extend([sample]);
  }

  /** @param {Sample[]} samples */
  extend(samples) {
    const { view } = this;
    if (!this.#stroke || !this.#brush) return;
    const { path } = this.#stroke;
    for (const { x, y, pressure } of samples) {
      const radius = this.#brush.radius * (pressure === null ? 1 : LIGHTEST + (1 - LIGHTEST) * pressure);
      path.push(...view.toPicture(x, y), radius);
    }
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** @returns {Stroke | null} what was painted; it goes on being shown until `clear` */
  end() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke) return null;
    return { erase: stroke.erase, path: shortened(stroke.path, SHORTEN_PX / this.view.scale) };
  }

  clear() {
    if (this.#stroke || !this.live.ink.canvas.width) return;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.live.clear();
  }

  #draw() {
    this.#frame = 0;
    const stroke = this.#stroke;
    if (!stroke) return;
    this.live.extend(stroke.path.slice(Math.max(stroke.drawn - 3, 0)), stroke.erase, this.view);
    stroke.drawn = stroke.path.length;
  }

  /**
   * Moves the cursor.
   * @param {{x: number, y: number} | null} place CSS pixels; null: hidden
   */
  point(place) {
    const { style } = this.cursor;
    clearTimeout(this.#hides);
    this.cursor.hidden = !place || !this.#brush;
    if (!place || !this.#brush) return;
    const side = 2 * this.#brush.radius * this.view.scale;
    style.width = style.height = `${side}px`;
    style.transform = `translate(${place.x - side / 2}px, ${place.y - side / 2}px)`;
    this.cursor.toggleAttribute('data-erases', this.#brush.erase);
  }

  /** Shows how large the brush is in the middle of the picture, for a moment. */
  showSize() {
    this.point({ x: this.view.screen.width / 2, y: this.view.screen.height / 2 });
    this.#hides = setTimeout(() => this.point(null), SHOWN_MS);
  }
}
