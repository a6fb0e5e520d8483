/** Before and after: one picture over the other, with a seam that moves. */

import { byId } from './dom.js';

const frame = /** @type {HTMLElement} */ (byId('compare').querySelector('.compare-frame'));
const [before, after] = ['.before', '.after'].map((name) => /** @type {HTMLImageElement} */ (frame.querySelector(name)));
const [tagBefore, tagAfter] = ['.tag-before', '.tag-after'].map((name) => /** @type {HTMLElement} */ (frame.querySelector(name)));
const slider = /** @type {HTMLInputElement} */ (frame.querySelector('input'));

/** @param {number} percent of the width that shows the picture before */
function moveTo(percent) {
  slider.value = String(percent);
  slider.setAttribute('aria-valuetext', `${Math.round(percent)} percent before`);
  frame.style.setProperty('--at', `${percent}%`);
  tagBefore.toggleAttribute('data-away', percent < 16);
  tagAfter.toggleAttribute('data-away', percent > 84);
}

slider.addEventListener('input', () => moveTo(Number(slider.value)));

/** The largest frame of the picture's shape that fits; percentages of the slider then are those of the picture. */
function resize() {
  const area = byId('compare');
  const style = getComputedStyle(area);
  const width = area.clientWidth - 2 * parseFloat(style.paddingLeft);
  const height = area.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
  if (width <= 0 || !after.naturalWidth) return;
  const scale = Math.min(width / after.naturalWidth, height / after.naturalHeight, 4);
  frame.style.width = `${after.naturalWidth * scale}px`;
  frame.style.height = `${after.naturalHeight * scale}px`;
}

new ResizeObserver(resize).observe(byId('compare'));
after.addEventListener('load', resize);

/**
 * @param {string} beforeUrl
 * @param {string} afterUrl
 */
export function showComparison(beforeUrl, afterUrl) {
  before.src = beforeUrl;
  after.src = afterUrl;
  moveTo(50);
}

/** Draws the seam once across the picture, so that one sees what has changed and that it can be dragged. */
export function sweep() {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const start = performance.now();
  let touched = false;
  for (const event of ['pointerdown', 'keydown', 'input']) {
    slider.addEventListener(event, () => (touched = true), { once: true });
  }
  const step = (/** @type {number} */ now) => {
    if (touched) return;
    const t = Math.min((now - start) / 1100, 1);
    moveTo(100 - 50 * (1 - (1 - t) ** 3));
    if (t < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
