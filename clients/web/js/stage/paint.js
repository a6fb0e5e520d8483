/**
 * Draws masks, points and boxes over the picture. Draws what it is told and remembers nothing but paths.
 *
 * @typedef {import('../types.js').Point} Point
 * @typedef {import('../types.js').Box} Box
 * @typedef {import('../mask.js').Mask} Mask
 *
 * @typedef {Object} PaintedObject
 * @property {number} id
 * @property {readonly unknown[]} strokes
 * @property {Mask | null} mask
 * @property {string} colour
 * @property {Point[]} points
 * @property {(0 | 1)[]} labels
 * @property {Box | null} box
 * @property {boolean} current
 * @property {boolean} pending
 *
 * @typedef {Object} Scene
 * @property {PaintedObject[]} objects
 * @property {Mask | null} hover  what a tap here would select
 * @property {string} hoverColour
 * @property {Box | null} dragged  the box being drawn, in the picture
 * @property {Point | null} cross  the keyboard's crosshair
 * @property {boolean} painting  the current object is under the brush and drawn by it
 * @property {boolean} busy  the job is running: masks breathe, points are hidden
 */

import { outlineOf } from '../outline.js';

/** The line's half width with and without its white rim, CSS pixels, and how much the object is tinted. */
export const RIM_PX = 2;
export const LINE_PX = 1;
export const TINT = 0.4;

/**
 * @param {CanvasRenderingContext2D} ink
 * @param {import('./view.js').View} view
 * @param {Scene} scene
 * @param {number} ratio device pixels per CSS pixel
 * @param {import('./fades.js').Fades} fades
 * @param {number} time ms, for what moves; constant where motion is unwanted
 */
export function paint(ink, view, scene, ratio, fades, time) {
  ink.setTransform(1, 0, 0, 1, 0, 0);
  ink.clearRect(0, 0, ink.canvas.width, ink.canvas.height);
  const { scale, x, y } = view;
  ink.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  const pixel = 1 / scale;
  for (const [mask, strength] of fades.hovers) paintMask(ink, outlineOf(mask, ratio * scale), scene.hoverColour, pixel, 0.22, true, strength);
  for (const object of [...scene.objects].sort((a, b) => Number(a.current) - Number(b.current))) {
    if (!object.mask || (scene.painting && object.current)) continue;
    const breath = scene.busy ? 0.45 + 0.2 * Math.sin(time / 420) : object.current ? TINT : 0.26;
    paintMask(ink, outlineOf(object.mask, ratio * scale), object.colour, pixel, object.pending ? breath * 0.6 : breath, false, fades.of(object));
  }
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (scene.busy) return;
  for (const object of scene.objects) {
    if (object.box) paintBox(ink, view, object.box, object.colour, object.current);
    if (object.current) paintPoints(ink, view, object, time);
  }
  if (scene.dragged) paintBox(ink, view, scene.dragged, scene.hoverColour, true);
  if (scene.cross) paintCross(ink, view, scene.cross);
}

/**
 * @param {CanvasRenderingContext2D} ink
 * @param {Path2D} path
 * @param {string} colour
 * @param {number} pixel one screen pixel, in pixels of the picture
 * @param {number} tint
 * @param {boolean} light a hint only: no white rim
 * @param {number} strength of everything, 0 to 1
 */
export function paintMask(ink, path, colour, pixel, tint, light, strength) {
  ink.save();
  ink.fillStyle = colour;
  ink.globalAlpha = tint * strength;
  ink.fill(path, 'evenodd');
  ink.lineJoin = 'round';
  if (!light) {
    ink.globalAlpha = 0.9 * strength;
    ink.strokeStyle = '#fff';
    ink.lineWidth = 2 * RIM_PX * pixel;
    ink.stroke(path);
  }
  ink.globalAlpha = (light ? 0.9 : 1) * strength;
  ink.strokeStyle = colour;
  ink.lineWidth = 2 * LINE_PX * pixel;
  ink.stroke(path);
  ink.restore();
}

/**
 * @param {CanvasRenderingContext2D} ink
 * @param {import('./view.js').View} view
 * @param {PaintedObject} object
 * @param {number} time
 */
function paintPoints(ink, view, object, time) {
  object.points.forEach(([px, py], i) => {
    const [x, y] = view.toScreen([px + 0.5, py + 0.5]);
    const last = i === object.points.length - 1;
    if (object.pending && last) {
      const phase = (time % 1100) / 1100;
      ink.strokeStyle = '#fff';
      ink.globalAlpha = 1 - phase;
      ink.lineWidth = 2;
      circle(ink, x, y, 8 + 18 * phase);
      ink.stroke();
      ink.globalAlpha = 1;
    }
    ink.fillStyle = 'rgb(0 0 0 / 0.28)';
    circle(ink, x, y + 1, 9);
    ink.fill();
    ink.fillStyle = '#fff';
    circle(ink, x, y, 8);
    ink.fill();
    ink.fillStyle = object.labels[i] ? object.colour : '#20262b';
    circle(ink, x, y, 5.75);
    ink.fill();
    ink.fillStyle = '#fff';
    ink.fillRect(x - 3, y - 0.75, 6, 1.5);
    if (object.labels[i]) ink.fillRect(x - 0.75, y - 3, 1.5, 6);
  });
}

/** @param {CanvasRenderingContext2D} ink @param {number} x @param {number} y @param {number} radius */
function circle(ink, x, y, radius) {
  ink.beginPath();
  ink.arc(x, y, radius, 0, 2 * Math.PI);
}

/**
 * @param {CanvasRenderingContext2D} ink
 * @param {import('./view.js').View} view
 * @param {Box} box
 * @param {string} colour
 * @param {boolean} current
 */
function paintBox(ink, view, [x0, y0, x1, y1], colour, current) {
  const [left, top] = view.toScreen([x0, y0]);
  const [right, bottom] = view.toScreen([x1, y1]);
  ink.save();
  ink.globalAlpha = current ? 1 : 0.5;
  ink.strokeStyle = 'rgb(0 0 0 / 0.45)';
  ink.lineWidth = 3;
  ink.strokeRect(left, top, right - left, bottom - top);
  ink.setLineDash([6, 4]);
  ink.strokeStyle = current ? '#fff' : colour;
  ink.lineWidth = 1.5;
  ink.strokeRect(left, top, right - left, bottom - top);
  ink.restore();
}

/**
 * @param {CanvasRenderingContext2D} ink
 * @param {import('./view.js').View} view
 * @param {Point} cross
 */
function paintCross(ink, view, [px, py]) {
  const [x, y] = view.toScreen([px + 0.5, py + 0.5]);
  for (const [colour, width] of /** @type {const} */ ([['rgb(0 0 0 / 0.6)', 4], ['#fff', 2]])) {
    ink.strokeStyle = colour;
    ink.lineWidth = width;
    ink.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      ink.moveTo(x + 5 * dx, y + 5 * dy);
      ink.lineTo(x + 16 * dx, y + 16 * dy);
    }
    ink.stroke();
  }
}
