/**
 * The card of one object: its name, and what can be done to it alone. Opened by its pencil, a double click or F2.
 *
 * Event: `work` {action, id}.
 *
 * @typedef {import('./objects.js').Selection} Selection
 */

import { byId } from './dom.js';
import { isTyping } from './toolbar.js';

const MARGIN_PX = 8;

export class ObjectCard extends EventTarget {
  #id = 0;

  /**
   * @param {Selection} selection
   * @param {import('./previews.js').Previews} previews
   * @param {import('./object_list.js').ObjectList} list
   */
  constructor(selection, previews, list) {
    super();
    this.selection = selection;
    this.previews = previews;
    this.list = list;
    this.card = byId('object-card');
    this.field = byId('object-card-name', HTMLInputElement);
    byId('object-card-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.card.hidePopover();
    });
    this.card.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#reset();
    });
    this.card.addEventListener('toggle', (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === 'closed') this.#onClose();
    });
    for (const action of ['remove', 'extract', 'drop']) {
      byId(`object-card-${action}`).addEventListener('click', () => this.#act(action));
    }
    list.addEventListener('edit', (event) => this.open(/** @type {CustomEvent} */ (event).detail.id));
    addEventListener('keydown', (event) => {
      const { current } = selection;
      if (event.key !== 'F2' || !current || document.body.dataset.screen !== 'edit' || isTyping(event)) return;
      event.preventDefault();
      this.open(current.id);
    });
  }

  /** @param {number} id of an object @returns {void} */
  open(id) {
    const index = this.selection.objects.findIndex((object) => object.id === id);
    const object = this.selection.objects[index];
    if (!object) return;
    if (this.#id) this.selection.rename(this.#id, this.field.value);
    this.selection.select(id);
    this.#id = id;
    this.field.value = object.name ?? '';
    this.field.placeholder = `Object ${index + 1}`;
    byId('object-card-alone').hidden = this.selection.objects.length < 2;
    for (const action of ['remove', 'extract']) {
      byId(`object-card-${action}`, HTMLButtonElement).disabled = this.previews.foundNothing(object);
    }
    this.card.showPopover();
    this.#place();
    // A finger raises the keyboard itself; it would hide half of the card.
    if (matchMedia('(pointer: coarse)').matches) return this.card.focus({ preventScroll: true });
    this.field.focus({ preventScroll: true });
    this.field.select();
  }

  /** Beside its row; on a phone the style sheet puts it at the bottom. */
  #place() {
    const row = this.list.rowOf(this.#id)?.getBoundingClientRect();
    if (!row) return;
    const below = row.bottom + MARGIN_PX;
    const room = innerHeight - this.card.offsetHeight - MARGIN_PX;
    this.card.style.setProperty('--top', `${Math.max(MARGIN_PX, Math.min(below, room))}px`);
  }

  #reset() {
    this.field.value = this.selection.objects.find(({ id }) => id === this.#id)?.name ?? '';
  }

  #onClose() {
    if (!this.#id) return;
    this.selection.rename(this.#id, this.field.value);
    const button = this.list.rowOf(this.#id)?.querySelector('button');
    if (document.activeElement === document.body || this.card.contains(document.activeElement)) button?.focus();
    this.#id = 0;
  }

  /** @param {string} action */
  #act(action) {
    const id = this.#id;
    this.card.hidePopover();
    this.selection.rename(id, this.field.value);
    if (action === 'drop') this.selection.remove(id);
    else this.dispatchEvent(new CustomEvent('work', { detail: { action, id } }));
  }
}
