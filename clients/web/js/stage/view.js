/**
 * How the picture lies on the screen: screen = picture * scale + (x, y). Pure arithmetic, in CSS pixels.
 *
 * @typedef {{width: number, height: number}} Size
 * @typedef {import('../types.js').Point} Point
 */

const MAX_ZOOM = 12;

export class View {
  /** @type {Size} */
  picture = { width: 1, height: 1 };
  /** @type {Size} */
  screen = { width: 1, height: 1 };
  /** Space kept free around the fitted picture: top, right, bottom, left. */
  margins = [0, 0, 0, 0];
  scale = 1;
  x = 0;
  y = 0;

  /** Scale at which the whole picture is seen; small pictures are enlarged, but only so far. */
  get fitScale() {
    const [top, right, bottom, left] = this.margins;
    const width = Math.max(this.screen.width - left - right, 1);
    const height = Math.max(this.screen.height - top - bottom, 1);
    return Math.min(width / this.picture.width, height / this.picture.height, 4);
  }

  get zoom() {
    return this.scale / this.fitScale;
  }

  fit() {
    this.scale = this.fitScale;
    this.settle();
  }

  /**
   * What lies at (`fromX`, `fromY`) comes to lie at (`screenX`, `screenY`).
   * @param {number} factor
   * @param {number} screenX
   * @param {number} screenY
   * @param {number} [fromX] default: stays where it is
   * @param {number} [fromY]
   */
  zoomAt(factor, screenX, screenY, fromX = screenX, fromY = screenY) {
    const next = Math.min(Math.max(this.scale * factor, this.fitScale), this.fitScale * MAX_ZOOM);
    const ratio = next / this.scale;
    this.x = screenX - (fromX - this.x) * ratio;
    this.y = screenY - (fromY - this.y) * ratio;
    this.scale = next;
    this.settle();
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.settle();
  }

  /** Centres what fits, and keeps what does not from being dragged away. */
  settle() {
    const [top, right, bottom, left] = this.margins;
    this.x = settled(this.x, this.picture.width * this.scale, left, this.screen.width - right);
    this.y = settled(this.y, this.picture.height * this.scale, top, this.screen.height - bottom);
  }

  /**
   * @param {number} screenX
   * @param {number} screenY
   * @returns {Point} in the picture, not rounded, perhaps outside
   */
  toPicture(screenX, screenY) {
    return [(screenX - this.x) / this.scale, (screenY - this.y) / this.scale];
  }

  /**
   * @param {Point} point
   * @returns {Point}
   */
  toScreen([x, y]) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  /**
   * @param {number} screenX
   * @param {number} screenY
   * @returns {Point | null} the pixel under that place; null outside the picture
   */
  pixelAt(screenX, screenY) {
    const [x, y] = this.toPicture(screenX, screenY).map(Math.floor);
    const inside = x >= 0 && y >= 0 && x < this.picture.width && y < this.picture.height;
    return inside ? [x, y] : null;
  }
}

/**
 * @param {number} offset
 * @param {number} length of the picture on the screen
 * @param {number} from
 * @param {number} to
 */
function settled(offset, length, from, to) {
  if (length <= to - from) return from + (to - from - length) / 2;
  return Math.min(Math.max(offset, to - length), from);
}
