/**
 * A stroke while it is being made: the object under the brush, drawn anew only where the brush has just been.
 *
 * Works in pixels of the screen, so that it costs the same however large the picture is. The object's silhouette is
 * kept on a canvas of its own; its line is what lies between the silhouette widened and narrowed by shifting it about.
 *
 * @typedef {import('./view.js').View} View
 * @typedef {[number, number, number, number]} Area  left, top, width, height; device pixels
 */

import { outlineOf } from '../outline.js';
import { LINE_PX, paintMask, RIM_PX, TINT } from './paint.js';

const AROUND = Array.from({ length: 12 }, (_, i) => [Math.cos((i * Math.PI) / 6), Math.sin((i * Math.PI) / 6)]);

export class LiveStroke {
  #silhouette = inkOf(new OffscreenCanvas(1, 1));
  #layer = inkOf(new OffscreenCanvas(1, 1));
  #colour = '';
  #ratio = 1;
  /** The silhouette goes on beyond the screen, so that the screen's edge is no edge of the object. */
  #beyond = 0;

  /** @param {HTMLCanvasElement} canvas lies below points and other objects */
  constructor(canvas) {
    this.ink = inkOf(canvas);
  }

  /**
   * @param {HTMLCanvasElement} like a canvas of the size and place of ours
   * @param {View} view
   * @param {import('../mask.js').Mask | null} mask before the stroke
   * @param {string} colour
   * @param {number} ratio device pixels per CSS pixel
   */
  begin({ width, height }, view, mask, colour, ratio) {
    this.#colour = colour;
    this.#ratio = ratio;
    this.#beyond = Math.ceil(RIM_PX * ratio) + 1;
    Object.assign(this.ink.canvas, { width, height });
    Object.assign(this.#silhouette.canvas, { width: width + 2 * this.#beyond, height: height + 2 * this.#beyond });
    const scale = ratio * view.scale;
    this.ink.setTransform(scale, 0, 0, scale, ratio * view.x, ratio * view.y);
    this.#silhouette.setTransform(scale, 0, 0, scale, ratio * view.x + this.#beyond, ratio * view.y + this.#beyond);
    this.#silhouette.rect(0, 0, view.picture.width, view.picture.height);
    this.#silhouette.clip();
    if (mask) {
      const path = outlineOf(mask, scale);
      paintMask(this.ink, path, colour, 1 / view.scale, TINT, false, 1);
      this.#silhouette.fill(path, 'evenodd');
    }
    this.ink.setTransform(1, 0, 0, 1, 0, 0);
  }

  /**
   * @param {number[]} path x, y and radius of discs that follow each other, pixels of the picture
   * @param {boolean} erase
   * @param {View} view
   */
  extend(path, erase, view) {
    const ink = this.#silhouette;
    ink.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < path.length; i += 3) {
      const [x, y, r] = [path[i], path[i + 1], path[i + 2]];
      ink.beginPath();
      ink.arc(x, y, r, 0, 2 * Math.PI);
      ink.fill();
      if (i) {
        ink.lineWidth = r + path[i - 1];
        ink.beginPath();
        ink.moveTo(path[i - 3], path[i - 2]);
        ink.lineTo(x, y);
        ink.stroke();
      }
      const [sx, sy] = view.toScreen([x, y]);
      const reach = r * view.scale + RIM_PX + 1;
      [x0, y0, x1, y1] = [Math.min(x0, sx - reach), Math.min(y0, sy - reach), Math.max(x1, sx + reach), Math.max(y1, sy + reach)];
    }
    const { width, height } = this.ink.canvas;
    const [left, top] = [Math.max(Math.floor(x0 * this.#ratio), 0), Math.max(Math.floor(y0 * this.#ratio), 0)];
    const right = Math.min(Math.ceil(x1 * this.#ratio), width);
    const bottom = Math.min(Math.ceil(y1 * this.#ratio), height);
    if (right > left && bottom > top) this.#show([left, top, right - left, bottom - top]);
  }

  clear() {
    this.ink.canvas.width = this.ink.canvas.height = 0;
  }

  /** @param {Area} area */
  #show(area) {
    const { ink } = this;
    const [left, top, width, height] = area;
    ink.clearRect(left, top, width, height);
    this.#put(area, 'source-over', RIM_PX, 'rgb(255 255 255 / 0.9)');
    this.#put(area, 'source-over', LINE_PX, this.#colour);
    this.#put(area, 'destination-in', LINE_PX, 'rgb(255 255 255 / 0.9)');
    this.#put(area, 'destination-in', RIM_PX, null);
    ink.globalAlpha = TINT;
    this.#put(area, 'destination-in', RIM_PX, this.#colour);
    ink.globalAlpha = 1;
  }

  /**
   * @param {Area} area
   * @param {'source-over' | 'destination-in'} how widened, or narrowed
   * @param {number} by CSS pixels
   * @param {string | null} colour null: takes away what is there
   */
  #put([left, top, width, height], how, by, colour) {
    const layer = this.#layer;
    const { canvas } = layer;
    if (canvas.width < width || canvas.height < height) {
      Object.assign(canvas, { width: Math.max(canvas.width, width), height: Math.max(canvas.height, height) });
    }
    layer.save();
    layer.beginPath();
    layer.rect(0, 0, width, height);
    layer.clip(); // Some of the modes below would reach over the whole canvas.
    layer.clearRect(0, 0, width, height);
    const [x, y] = [-left - this.#beyond, -top - this.#beyond];
    layer.drawImage(this.#silhouette.canvas, x, y);
    layer.globalCompositeOperation = how;
    const reach = by * this.#ratio;
    for (const [dx, dy] of AROUND) layer.drawImage(this.#silhouette.canvas, x + dx * reach, y + dy * reach);
    if (colour) {
      layer.globalCompositeOperation = 'source-in';
      layer.fillStyle = colour;
      layer.fillRect(0, 0, width, height);
    }
    layer.restore();
    this.ink.globalCompositeOperation = colour ? 'source-over' : 'destination-out';
    this.ink.drawImage(canvas, 0, 0, width, height, left, top, width, height);
    this.ink.globalCompositeOperation = 'source-over';
  }
}

/**
 * @template {HTMLCanvasElement | OffscreenCanvas} T
 * @param {T} canvas
 * @returns {T extends HTMLCanvasElement ? CanvasRenderingContext2D : OffscreenCanvasRenderingContext2D}
 */
function inkOf(canvas) {
  const ink = canvas.getContext('2d');
  if (!ink) throw new Error('This browser cannot draw.');
  return /** @type {any} */ (ink);
}
