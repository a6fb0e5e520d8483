/**
 * The line around a mask: smooth, and still the mask's. Pure arithmetic.
 *
 * The line crosses from one pixel to the next exactly where the mask changes. Each crossing may slide along the way
 * between the two pixels' middles, and is drawn towards its neighbours (a surface net, Gibson 1998, in the plane). So
 * the steps of the pixels go, and no pixel's middle ever changes sides.
 */

/** How far a crossing may slide, pixels; with `FINEST` less than the half that would be a lie. */
const SLIDE = 0.4;
/** How much of the line's wiggle is dropped at full size, pixels. */
export const FINEST = 0.08;
const ROUNDS = 24;

/**
 * @param {import('./mask.js').Mask} mask
 * @returns {Float32Array[]} rings of x, y, x, y in the picture (a pixel's middle is at .5); holes are rings too
 */
export function contoursOf(mask) {
  const width = mask.width + 2;
  const cells = new Uint8Array(width * (mask.height + 2));
  for (let row = 0; row < mask.height; row += 1) {
    cells.set(mask.bits.subarray(row * mask.width, (row + 1) * mask.width), (row + 1) * width + 1);
  }
  const rings = [];
  // Every ring runs up along the left side of some pixel, where a row's stretch of object begins: there it is found.
  for (let at = cells.indexOf(1); at >= 0; at = cells.indexOf(1, cells.indexOf(0, at))) {
    if (!cells[at - 1]) rings.push(smoothed(follow(cells, width, at), mask.x - 1, mask.y - 1));
  }
  return rings;
}

/**
 * Walks along the sides of pixels, the object on the right, until it is back. Pixels that touch at a corner hold together.
 * @param {Uint8Array} cells 1 and 2 are the object; 2: its left side is drawn
 * @param {number} width
 * @param {number} pixel whose left side is not drawn yet
 * @returns {number[]} middles of the sides: x, y; a horizontal side's x is the one that ends in .5
 */
function follow(cells, width, pixel) {
  const step = [1, width, -1, -width]; // right, down, left, up: from corner to corner
  const ahead = [0, -1, -width - 1, -width]; // the pixel ahead on the right, seen from its corner
  const [dx, dy] = [[0.5, 0, -0.5, 0], [0, 0.5, 0, -0.5]];
  const sides = [];
  const start = pixel + width;
  let corner = start;
  let way = 3;
  do {
    const x = corner % width;
    sides.push(x + dx[way], (corner - x) / width + dy[way]);
    corner += step[way];
    if (way === 3) cells[corner] = 2;
    const left = (way + 3) % 4;
    if (cells[corner + ahead[left]]) way = left;
    else if (!cells[corner + ahead[way]]) way = (way + 1) % 4;
  } while (corner !== start || way !== 3);
  return sides;
}

/**
 * @param {number[]} sides
 * @param {number} left where the cells lie in the picture
 * @param {number} top
 */
function smoothed(sides, left, top) {
  const ring = Float32Array.from(sides);
  const { length } = ring;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let i = 0; i < length; i += 2) {
      // A horizontal side is crossed up and down, an upright one from side to side.
      const at = Number.isInteger(sides[i]) ? i : i + 1;
      const before = ring[at >= 2 ? at - 2 : at + length - 2];
      const after = ring[at + 2 < length ? at + 2 : at + 2 - length];
      const wish = (before + after) / 2 - sides[at];
      ring[at] = sides[at] + (wish > SLIDE ? SLIDE : wish < -SLIDE ? -SLIDE : wish);
    }
  }
  for (let i = 0; i < length; i += 2) {
    ring[i] += left;
    ring[i + 1] += top;
  }
  return ring;
}

/**
 * Leaves out the corners that a coarser view does not show (Douglas and Peucker 1973).
 * @param {Float32Array} ring
 * @param {number} tolerance how far the line may move, pixels
 * @returns {number[]} the corners that stay, as places in `ring` of their x
 */
export function cornersOf(ring, tolerance) {
  const count = ring.length / 2;
  const keeps = new Uint8Array(count + 1);
  const middle = count >> 1;
  keeps[0] = keeps[middle] = 1;
  const open = [0, middle, middle, count];
  const limit = tolerance * tolerance;
  while (open.length) {
    const to = /** @type {number} */ (open.pop());
    const from = /** @type {number} */ (open.pop());
    const [ax, ay] = [ring[2 * from], ring[2 * from + 1]];
    const [bx, by] = [ring[2 * (to % count)] - ax, ring[2 * (to % count) + 1] - ay];
    const span = bx * bx + by * by;
    let worst = limit;
    let found = -1;
    for (let i = from + 1; i < to; i += 1) {
      const [px, py] = [ring[2 * i] - ax, ring[2 * i + 1] - ay];
      const along = span ? Math.min(Math.max((px * bx + py * by) / span, 0), 1) : 0;
      const distance = (px - along * bx) ** 2 + (py - along * by) ** 2;
      if (distance > worst) [worst, found] = [distance, i];
    }
    if (found >= 0) {
      keeps[found] = 1;
      open.push(from, found, found, to);
    }
  }
  return [...keeps.keys()].filter((i) => i < count && keeps[i]).map((i) => 2 * i);
}
