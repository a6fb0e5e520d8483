/**
 * Polygons made into pixels: small pictures for the list, and a mask to send.
 *
 * @typedef {import('./types.js').Candidate} Candidate
 * @typedef {import('./types.js').Point} Point
 */

/**
 * @param {Point[][]} polygons
 * @returns {Path2D} through the centres of the corner pixels
 */
export function pathOf(polygons) {
  const path = new Path2D();
  for (const ring of polygons) {
    ring.forEach(([x, y], i) => (i ? path.lineTo(x + 0.5, y + 0.5) : path.moveTo(x + 0.5, y + 0.5)));
    path.closePath();
  }
  return path;
}

/**
 * Draws the object alone, as large as the canvas allows.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} picture
 * @param {number} width of original.png
 * @param {Candidate} mask
 */
export function drawThumbnail(canvas, picture, width, mask) {
  const ink = canvas.getContext('2d');
  if (!ink || !picture.naturalWidth) return;
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
  ink.clip(pathOf(mask.polygons), 'evenodd');
  ink.drawImage(picture, 0, 0, width, height);
}

/**
 * @param {Candidate} mask
 * @param {number} width of original.png
 * @param {number} height
 * @returns {string} PNG of that size, 255 the object and 0 elsewhere, in base64
 */
export function maskPng(mask, width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const ink = canvas.getContext('2d', { willReadFrequently: true });
  if (!ink) throw new Error('This browser cannot draw.');
  const path = pathOf(mask.polygons);
  ink.fill(path, 'evenodd');
  // The path runs through the centres of the border pixels, which belong to the object.
  ink.stroke(path);
  const image = ink.getImageData(0, 0, width, height);
  for (let i = 0; i < image.data.length; i += 4) {
    const value = image.data[i + 3] > 127 ? 255 : 0;
    image.data.set([value, value, value, 255], i);
  }
  ink.putImageData(image, 0, 0);
  return canvas.toDataURL('image/png').split(',')[1];
}
