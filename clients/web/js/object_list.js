/**
 * The list of objects beside the picture.
 *
 * Events: `edit` {id, button}: the object's card is wanted; `work` {action, id}: this object alone is to be worked on.
 *
 * @typedef {import('./types.js').SelectedObject} SelectedObject
 */

import { byId, icon, make } from './dom.js';
import { colourNameOf, colourOf } from './palette.js';
import { drawThumbnail } from './thumbnail.js';

/** Below this guess of its own the network is more often wrong than right. */
const UNSURE_BELOW = 0.6;

export class ObjectList extends EventTarget {
  /**
   * @param {import('./objects.js').Selection} selection
   * @param {import('./previews.js').Previews} previews
   * @param {import('./session.js').Session} session
   */
  constructor(selection, previews, session) {
    super();
    this.selection = selection;
    this.previews = previews;
    this.session = session;
    this.state = '';
    /** @type {(import('./types.js').Candidate | null)[]} */
    this.masks = [];
    this.list = byId('objects');
    this.picture = byId('picture', HTMLImageElement);
    this.list.addEventListener('click', (event) => this.#onClick(event));
    this.list.addEventListener('dblclick', (event) => this.#onDoubleClick(event));
    this.picture.addEventListener('load', () => this.render());
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest('button');
    const id = Number(button?.closest('li')?.dataset.id);
    if (!button || !id) return;
    const { does } = button.dataset;
    if (does === 'delete') this.selection.remove(id);
    else if (does === 'edit') this.edit(id);
    else if (does) this.dispatchEvent(new CustomEvent('work', { detail: { action: does, id } }));
    else this.selection.select(id);
  }

  /** @param {MouseEvent} event */
  #onDoubleClick(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest('button');
    const id = Number(button?.closest('li')?.dataset.id);
    if (id && button && !button.dataset.does) this.edit(id);
  }

  /** @param {number} id */
  edit(id) {
    this.dispatchEvent(new CustomEvent('edit', { detail: { id } }));
  }

  /** @param {number} id @returns {HTMLElement | null} the object's row */
  rowOf(id) {
    return this.list.querySelector(`li[data-id="${id}"]`);
  }

  render() {
    // Rebuilt only when it says something new: hovering asks for a rendering many times a second.
    const { complete, naturalWidth } = this.picture;
    const masks = this.selection.objects.map((object) => this.previews.maskOf(object));
    const { named } = this.selection;
    const texts = this.selection.objects.map((object, i) => [object.id, object.colour, named[i].title, this.describe(object)]);
    const state = JSON.stringify([texts, this.selection.current?.id, complete && naturalWidth]);
    if (state === this.state && masks.every((mask, i) => mask === this.masks[i])) return;
    this.state = state;
    this.masks = masks;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.focus;
    const { objects, current } = this.selection;
    const rows = objects.map((object, index) => this.#row(object, named[index].title, object === current));
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
   * @param {string} title
   * @param {boolean} current
   */
  #row(object, title, current) {
    const canvas = make('canvas', { width: 96, height: 96, 'aria-hidden': 'true' });
    const mask = this.previews.maskOf(object);
    if (mask) drawThumbnail(canvas, this.picture, this.session.width, mask);
    const name = make(
      'button',
      {
        type: 'button',
        class: 'object-name',
        title: `Outlined in ${colourNameOf(object.colour)}`,
        'aria-pressed': String(current),
        'data-focus': `select-${object.id}`,
      },
      canvas,
      make('b', {}, title),
      make('small', {}, this.describe(object)),
    );
    name.style.setProperty('--colour', colourOf(object.colour));
    const edit = this.#tool('edit', object, 'Name and more (F2)', `Name and more: ${title}`, icon('edit'));
    const drop = this.#tool('delete', object, 'Drop from the selection', `Drop ${title} from the selection`, icon('trash'));
    const parts = [name, make('div', { class: 'object-tools' }, edit, drop)];
    if (current && this.selection.objects.length > 1) parts.push(this.#alone(object, title));
    const row = make('li', { class: 'object', 'data-id': object.id, 'data-current': current }, ...parts);
    for (const button of row.querySelectorAll('button')) button.addEventListener('refocus', () => button.focus());
    return row;
  }

  /**
   * Work on the current object alone, where there are others.
   * @param {SelectedObject} object
   * @param {string} title
   */
  #alone(object, title) {
    const nothing = this.previews.foundNothing(object) || this.previews.isUnfinished(object);
    /** @type {[string, string, string][]} */
    const works = [['remove', 'wand', 'Remove this'], ['extract', 'scissors', 'Cut out this']];
    const buttons = works.map(([does, symbol, text]) =>
      make(
        'button',
        {
          type: 'button',
          class: 'button small',
          disabled: nothing,
          'aria-label': `${text}: ${title}`,
          'data-does': does,
          'data-focus': `${does}-${object.id}`,
        },
        icon(symbol),
        text,
      ),
    );
    return make('div', { class: 'object-alone' }, ...buttons);
  }

  /**
   * @param {string} does
   * @param {SelectedObject} object
   * @param {string} title
   * @param {string} label
   * @param {SVGSVGElement} symbol
   */
  #tool(does, { id }, title, label, symbol) {
    return make(
      'button',
      { type: 'button', class: 'tool', title, 'aria-label': label, 'data-does': does, 'data-focus': `${does}-${id}` },
      symbol,
    );
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
