/**
 * The list of objects beside the picture.
 *
 * @typedef {import('./types.js').SelectedObject} SelectedObject
 */

import { byId, icon, make } from './dom.js';
import { drawThumbnail } from './thumbnail.js';
import { colourOf } from './palette.js';

/** Below this guess of its own the network is more often wrong than right. */
const UNSURE_BELOW = 0.6;

export class ObjectList {
  /**
   * @param {import('./objects.js').Selection} selection
   * @param {import('./previews.js').Previews} previews
   * @param {import('./session.js').Session} session
   */
  constructor(selection, previews, session) {
    this.selection = selection;
    this.previews = previews;
    this.session = session;
    this.state = '';
    /** @type {(import('./types.js').Candidate | null)[]} */
    this.masks = [];
    this.list = byId('objects');
    this.picture = byId('picture', HTMLImageElement);
    this.list.addEventListener('click', (event) => this.#onClick(event));
    this.picture.addEventListener('load', () => this.render());
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest('button');
    const id = Number(button?.closest('li')?.dataset.id);
    if (!button || !id) return;
    if (button.dataset.does === 'delete') this.selection.remove(id);
    else this.selection.select(id);
  }

  render() {
    // Rebuilt only when it says something new: hovering asks for a rendering many times a second.
    const { complete, naturalWidth } = this.picture;
    const masks = this.selection.objects.map((object) => this.previews.maskOf(object));
    const texts = this.selection.objects.map((object) => [object.id, object.colour, this.describe(object)]);
    const state = JSON.stringify([texts, this.selection.current?.id, complete && naturalWidth]);
    if (state === this.state && masks.every((mask, i) => mask === this.masks[i])) return;
    this.state = state;
    this.masks = masks;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.focus;
    const { objects, current } = this.selection;
    const rows = objects.map((object, index) => this.#row(object, index, object === current));
    if (!rows.length) rows.push(make('li', { class: 'objects-none' }, 'Nothing selected yet.'));
    else if (!current) rows.push(this.#rowToCome(objects.length + 1));
    this.list.replaceChildren(...rows);
    if (focused) this.list.querySelector(`[data-focus="${focused}"]`)?.dispatchEvent(new Event('refocus'));
  }

  /** @param {number} number of the object that the next tap starts */
  #rowToCome(number) {
    const texts = [make('b', {}, `Object ${number}`), make('small', {}, 'Tap it in the picture')];
    const name = make('div', { class: 'object-name' }, make('span', { class: 'ring' }), ...texts);
    name.style.setProperty('--colour', colourOf(this.selection.nextColour));
    return make('li', { class: 'object', 'data-current': true }, name);
  }

  /**
   * @param {SelectedObject} object
   * @param {number} index
   * @param {boolean} current
   */
  #row(object, index, current) {
    const canvas = make('canvas', { width: 96, height: 96, 'aria-hidden': 'true' });
    const mask = this.previews.maskOf(object);
    if (mask) drawThumbnail(canvas, this.picture, this.session.width, mask);
    const name = make(
      'button',
      { type: 'button', class: 'object-name', 'aria-pressed': String(current), 'data-focus': `select-${object.id}` },
      canvas,
      make('b', {}, `Object ${index + 1}`),
      make('small', {}, this.describe(object)),
    );
    name.style.setProperty('--colour', colourOf(object.colour));
    const remove = make(
      'button',
      {
        type: 'button',
        class: 'tool',
        title: 'Drop from the selection',
        'aria-label': `Drop object ${index + 1} from the selection`,
        'data-does': 'delete',
        'data-focus': `delete-${object.id}`,
      },
      icon('trash'),
    );
    for (const button of [name, remove]) button.addEventListener('refocus', () => button.focus());
    return make('li', { class: 'object', 'data-id': object.id, 'data-current': current }, name, remove);
  }

  /**
   * @param {SelectedObject} object
   * @returns {string}
   */
  describe(object) {
    const mask = this.previews.maskOf(object);
    if (!mask) return this.previews.failureOf(object) ? 'Nothing found there' : 'Looking…';
    const share = (100 * mask.area) / (this.session.width * this.session.height);
    const size = share < 1 ? 'Less than 1 % of the picture' : `${Math.round(share)} % of the picture`;
    if (object.strokes.length) return `${size}, by hand`;
    return mask.score < UNSURE_BELOW ? `${size}, unsure` : size;
  }
}
