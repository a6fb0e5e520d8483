/**
 * Strokes of the brush made into pixels. Pure arithmetic.
 *
 * A stroke covers the pixels whose middles lie in its discs or between two that follow each other.
 *
 * @typedef {import('./mask.js').Mask} Mask
 * @typedef {import('./types.js').Stroke} Stroke
 */

import { emptyMask } from './mask.js';

/**
 * @param {Mask | null} mask
 * @param {readonly Stroke[]} strokes in the order in which they were made
 * @param {number} width of the picture
 * @param {number} height
 * @returns {Mask} a new one
 */
export function corrected(mask, strokes, width, height) {
  const frame = mask ? [mask.x, mask.y, mask.x + mask.width, mask.y + mask.height] : [width, height, 0, 0];
  for (const { erase, path } of strokes) if (!erase) grow(frame, path);
  const [x0, y0] = [Math.max(Math.floor(frame[0]), 0), Math.max(Math.floor(frame[1]), 0)];
  const canvas = emptyMask([x0, y0, Math.min(Math.ceil(frame[2]), width), Math.min(Math.ceil(frame[3]), height)]);
  for (let row = 0; mask && row < mask.height; row += 1) {
    const bits = mask.bits.subarray(row * mask.width, (row + 1) * mask.width);
    canvas.bits.set(bits, (mask.y + row - canvas.y) * canvas.width + mask.x - canvas.x);
  }
  for (const stroke of strokes) draw(canvas, stroke);
  return tight(canvas);
}

/**
 * @param {readonly Stroke[]} strokes
 * @param {import('./types.js').Point} pixel
 * @returns {0 | 1 | null} what the hand made of it: erased, painted; null: nothing
 */
export function handOn(strokes, [x, y]) {
  const untouched = 2;
  const mask = { x, y, width: 1, height: 1, bits: Uint8Array.of(untouched) };
  for (const stroke of strokes) draw(mask, stroke);
  return mask.bits[0] === untouched ? null : /** @type {0 | 1} */ (mask.bits[0]);
}

/** @param {number[]} frame x0, y0, x1, y1 @param {number[]} path */
function grow(frame, path) {
  for (let i = 0; i < path.length; i += 3) {
    const [x, y, r] = [path[i], path[i + 1], path[i + 2]];
    frame[0] = Math.min(frame[0], x - r);
    frame[1] = Math.min(frame[1], y - r);
    frame[2] = Math.max(frame[2], x + r);
    frame[3] = Math.max(frame[3], y + r);
  }
}

/** @param {Mask} mask @param {Stroke} stroke */
function draw(mask, { erase, path }) {
  for (let i = 0; i < path.length; i += 3) {
    const disc = path.slice(Math.max(i - 3, 0), i + 3);
    fillHull(mask, disc.length > 3 ? disc : [...disc, ...disc], erase ? 0 : 1);
  }
}

/**
 * @param {Mask} mask
 * @param {number[]} discs x, y, radius of two
 * @param {0 | 1} value
 */
function fillHull(mask, [ax, ay, ar, bx, by, br], value) {
  const corners = tangents(ax, ay, ar, bx, by, br);
  const top = Math.max(Math.ceil(Math.min(ay - ar, by - br) - 0.5), mask.y);
  const bottom = Math.min(Math.floor(Math.max(ay + ar, by + br) - 0.5), mask.y + mask.height - 1);
  for (let row = top; row <= bottom; row += 1) {
    const y = row + 0.5;
    let [left, right] = [Infinity, -Infinity];
    for (const [cx, cy, r] of [[ax, ay, ar], [bx, by, br]]) {
      const half = Math.sqrt(r * r - (y - cy) ** 2);
      if (half >= 0) [left, right] = [Math.min(left, cx - half), Math.max(right, cx + half)];
    }
    for (let i = 0; i < corners.length; i += 1) {
      const [px, py] = corners[i];
      const [qx, qy] = corners[(i + 1) % corners.length];
      if (Math.min(py, qy) > y || Math.max(py, qy) < y || py === qy) continue;
      const x = px + ((y - py) / (qy - py)) * (qx - px);
      [left, right] = [Math.min(left, x), Math.max(right, x)];
    }
    const from = Math.max(Math.ceil(left - 0.5), mask.x);
    const to = Math.min(Math.floor(right - 0.5), mask.x + mask.width - 1);
    const start = (row - mask.y) * mask.width - mask.x;
    if (from <= to) mask.bits.fill(value, start + from, start + to + 1);
  }
}

/**
 * Where the two lines that touch both discs touch them: with the discs they make the hull.
 * @returns {number[][]} four corners; none where one disc holds the other
 * @type {(ax: number, ay: number, ar: number, bx: number, by: number, br: number) => number[][]}
 */
function tangents(ax, ay, ar, bx, by, br) {
  const far = Math.hypot(bx - ax, by - ay);
  if (far <= Math.abs(ar - br)) return [];
  const [ux, uy] = [(bx - ax) / far, (by - ay) / far];
  const along = (ar - br) / far;
  const across = Math.sqrt(1 - along * along);
  const [lx, ly] = [ux * along - uy * across, uy * along + ux * across];
  const [rx, ry] = [ux * along + uy * across, uy * along - ux * across];
  return [
    [ax + ar * lx, ay + ar * ly],
    [bx + br * lx, by + br * ly],
    [bx + br * rx, by + br * ry],
    [ax + ar * rx, ay + ar * ry],
  ];
}

/** @param {Mask} mask @returns {Mask} without empty rows and columns around the object */
function tight(mask) {
  const { width, height, bits } = mask;
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let row = 0; row < height; row += 1) {
    const cells = bits.subarray(row * width, (row + 1) * width);
    const first = cells.indexOf(1);
    if (first < 0) continue;
    [x0, x1] = [Math.min(x0, first), Math.max(x1, cells.lastIndexOf(1) + 1)];
    [y0, y1] = [Math.min(y0, row), row + 1];
  }
  const inner = emptyMask([mask.x + x0, mask.y + y0, mask.x + x1, mask.y + y1]);
  for (let row = 0; row < inner.height; row += 1) {
    const start = (y0 + row) * width + x0;
    inner.bits.set(bits.subarray(start, start + inner.width), row * inner.width);
  }
  return inner;
}

/**
 * Leaves out what does not change the stroke by more than `tolerance`, and rounds to a tenth of a pixel.
 * @param {number[]} path x, y, radius of each disc
 * @param {number} tolerance pixels of the picture
 * @returns {number[]}
 */
export function shortened(path, tolerance) {
  const count = path.length / 3;
  const keeps = new Uint8Array(count);
  keeps[0] = keeps[count - 1] = 1;
  const open = [0, count - 1];
  while (open.length) {
    const to = /** @type {number} */ (open.pop());
    const from = /** @type {number} */ (open.pop());
    let [worst, found] = [tolerance, -1];
    for (let i = from + 1; i < to; i += 1) {
      const off = offLine(path, i, from, to);
      if (off > worst) [worst, found] = [off, i];
    }
    if (found < 0) continue;
    keeps[found] = 1;
    open.push(from, found, found, to);
  }
  return path.filter((_, i) => keeps[Math.floor(i / 3)]).map((value) => Math.round(value * 10) / 10);
}

/** @type {(path: number[], i: number, from: number, to: number) => number} */
function offLine(path, i, from, to) {
  const [ax, ay, ar] = path.slice(3 * from, 3 * from + 3);
  const [bx, by, br] = path.slice(3 * to, 3 * to + 3);
  const [px, py, pr] = path.slice(3 * i, 3 * i + 3);
  const span = (bx - ax) ** 2 + (by - ay) ** 2;
  const along = span ? Math.min(Math.max(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / span, 0), 1) : 0;
  return Math.hypot(px - ax - along * (bx - ax), py - ay - along * (by - ay)) + Math.abs(pr - ar - along * (br - ar));
}
