/** The small pictures in the list of objects. */

import { pixelsOf } from './mask.js';
import { outlineOf } from './outline.js';

/**
 * Draws the object alone, as large as the canvas allows.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} picture
 * @param {number} width of original.png
 * @param {import('./types.js').Candidate} mask
 */
export function drawThumbnail(canvas, picture, width, mask) {
  const ink = canvas.getContext('2d');
  if (!ink || !picture.naturalWidth || !mask.area) return;
  const [x0, y0, x1, y1] = mask.bbox;
  const side = Math.max(x1 - x0, y1 - y0) * 1.12;
  const left = (x0 + x1 - side) / 2;
  const top = (y0 + y1 - side) / 2;
  const scale = canvas.width / side;
  ink.setTransform(1, 0, 0, 1, 0, 0);
  ink.clearRect(0, 0, canvas.width, canvas.height);
  ink.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  const height = (width / picture.naturalWidth) * picture.naturalHeight;
  ink.globalAlpha = 0.3;
  ink.drawImage(picture, 0, 0, width, height);
  ink.globalAlpha = 1;
  ink.clip(outlineOf(pixelsOf(mask), scale), 'evenodd');
  ink.drawImage(picture, 0, 0, width, height);
}
