/**
 * An object's pixels, and the ways they come in: COCO's run-length code, polygons. Pure but for polygons.
 *
 * @typedef {import('./types.js').Candidate} Candidate
 * @typedef {import('./types.js').Box} Box
 * @typedef {import('./types.js').Point} Point
 *
 * @typedef {Object} Mask
 * @property {number} x  of its left column, in the picture
 * @property {number} y  of its top row
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array} bits  row by row; 1 is the object
 */

/** @type {WeakMap<Candidate, Mask>} */
const known = new WeakMap();

/** @param {Candidate} candidate @returns {Mask} its pixels, read once */
export function pixelsOf(candidate) {
  const mask = known.get(candidate) ?? read(candidate);
  known.set(candidate, mask);
  return mask;
}

/**
 * @param {Mask} mask
 * @param {number} score
 * @returns {Candidate} that has just these pixels
 */
export function candidateOf(mask, score) {
  const { x, y, width, height, bits } = mask;
  let area = 0;
  for (let i = 0; i < bits.length; i += 1) area += bits[i];
  const candidate = { score, area, bbox: /** @type {Box} */ ([x, y, x + width, y + height]), polygons: [] };
  known.set(candidate, mask);
  return candidate;
}

/** @param {Candidate} candidate */
function read({ rle, polygons, bbox }) {
  // The code is exact; polygons are rounded off and know no holes, but every service has them.
  return rle ? decodeRle(rle, bbox) : fillPolygons(polygons, bbox);
}

/** @param {Box} box @returns {Mask} */
export function emptyMask([x0, y0, x1, y1]) {
  const [width, height] = [Math.max(x1 - x0, 0), Math.max(y1 - y0, 0)];
  return { x: x0, y: y0, width, height, bits: new Uint8Array(width * height) };
}

/**
 * Runs go down the columns, the first one is background.
 * @param {import('./types.js').Rle} rle
 * @param {Box} bbox encloses the object
 * @returns {Mask}
 */
export function decodeRle({ size: [rows], counts }, bbox) {
  const mask = emptyMask(bbox);
  const { x, y, width, height, bits } = mask;
  let at = 0;
  runsOf(counts).forEach((length, i) => {
    if (i % 2) {
      // Only where a run begins and ends is noted: the rows are filled in from above below.
      for (let from = at; from < at + length; ) {
        const column = Math.floor(from / rows);
        const to = Math.min(at + length, (column + 1) * rows);
        const cell = column - x;
        const [first, past] = [from - column * rows - y, to - column * rows - y];
        bits[first * width + cell] ^= 1;
        if (past < height) bits[past * width + cell] ^= 1;
        from = to;
      }
    }
    at += length;
  });
  for (let i = width; i < bits.length; i += 1) bits[i] ^= bits[i - width];
  return mask;
}

/**
 * Five bits a character, lowest first; from the fourth on each is told as its difference to the one before the last.
 * @param {string} counts
 * @returns {number[]}
 */
function runsOf(counts) {
  /** @type {number[]} */
  const runs = [];
  for (let i = 0; i < counts.length; ) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = counts.charCodeAt(i) - 48;
      value |= (code & 0x1f) << shift;
      shift += 5;
      i += 1;
    } while (code & 0x20);
    if (code & 0x10 && shift < 32) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/**
 * @param {Point[][]} polygons through the middles of the border pixels
 * @param {Box} bbox
 * @returns {Mask}
 */
function fillPolygons(polygons, bbox) {
  const mask = emptyMask(bbox);
  if (!mask.bits.length) return mask;
  const ink = new OffscreenCanvas(mask.width, mask.height).getContext('2d', { willReadFrequently: true });
  if (!ink) throw new Error('This browser cannot draw.');
  ink.translate(0.5 - mask.x, 0.5 - mask.y);
  for (const ring of polygons) ring.forEach(([x, y], i) => (i ? ink.lineTo(x, y) : ink.moveTo(x, y)));
  ink.fill('evenodd');
  ink.beginPath();
  for (const ring of polygons) {
    ring.forEach(([x, y], i) => (i ? ink.lineTo(x, y) : ink.moveTo(x, y)));
    ink.closePath();
  }
  ink.stroke();
  const { data } = ink.getImageData(0, 0, mask.width, mask.height);
  for (let i = 0; i < mask.bits.length; i += 1) mask.bits[i] = data[4 * i + 3] > 127 ? 1 : 0;
  return mask;
}
