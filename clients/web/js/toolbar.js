/**
 * The tools under the picture, the keys, and the choice between a smaller and a larger outline.
 *
 * @typedef {import('./objects.js').Selection} Selection
 */

import { byId, make } from './dom.js';

const SIZE_NAMES = ['Smaller', 'Medium', 'Larger'];

export class Toolbar {
  /**
   * @param {Selection} selection
   * @param {import('./previews.js').Previews} previews
   * @param {import('./stage/stage.js').Stage} stage
   */
  constructor(selection, previews, stage) {
    this.selection = selection;
    this.previews = previews;
    this.stage = stage;
    /** @type {[string, () => void][]} */
    const actions = [
      ['undo', () => selection.undo()],
      ['redo', () => selection.redo()],
      ['zoom-in', () => stage.zoom(1)],
      ['zoom-out', () => stage.zoom(-1)],
      ['zoom-fit', () => stage.zoom(0)],
      ['another', () => selection.startAnother()],
      ['tool-add', () => this.setLeavingOut(false)],
      ['tool-leave-out', () => this.setLeavingOut(true)],
    ];
    for (const [id, run] of actions) byId(id).addEventListener('click', run);
    stage.addEventListener('view', () => {
      const percent = Math.round(stage.view.zoom * 100);
      byId('zoom-fit').textContent = `${percent}%`;
      byId('zoom-fit').toggleAttribute('data-zoomed', percent !== 100);
    });
    addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** @param {boolean} leavingOut */
  setLeavingOut(leavingOut) {
    this.stage.leavingOut = leavingOut;
    byId('tool-add').setAttribute('aria-pressed', String(!leavingOut));
    byId('tool-leave-out').setAttribute('aria-pressed', String(leavingOut));
  }

  render() {
    const { canUndo, canRedo, objects, current } = this.selection;
    byId('undo', HTMLButtonElement).disabled = !canUndo;
    byId('redo', HTMLButtonElement).disabled = !canRedo;
    byId('another', HTMLButtonElement).disabled = !current;
    const lost = objects.some((object) => this.previews.foundNothing(object));
    for (const id of ['remove', 'cut-out']) byId(id, HTMLButtonElement).disabled = !objects.length || lost;
    if (!current && this.stage.leavingOut) this.setLeavingOut(false);
    byId('tool-leave-out', HTMLButtonElement).disabled = !current;
    this.#renderSizes();
  }

  #renderSizes() {
    const { current } = this.selection;
    const box = byId('sizes');
    const candidates = current ? this.previews.candidatesOf(current) : [];
    const mask = current && this.previews.maskOf(current);
    box.hidden = candidates.length < 2 || !mask;
    if (box.hidden || !mask) return;
    const focused = box.contains(document.activeElement);
    const distance = (/** @type {number} */ index) => Math.abs(candidates[index].area - mask.area);
    const nearest = [...candidates.keys()].sort((a, b) => distance(a) - distance(b))[0];
    const chosen = current.choice ?? nearest;
    const names = candidates.length === 2 ? [SIZE_NAMES[0], SIZE_NAMES[2]] : SIZE_NAMES;
    const buttons = candidates.slice(0, 3).map((_, index) =>
      make(
        'button',
        {
          type: 'button',
          'aria-pressed': String(index === chosen),
          on: { click: () => this.selection.choose(index) },
        },
        names[index],
      ),
    );
    box.replaceChildren('Outline', make('div', { class: 'segmented' }, ...buttons));
    if (focused) buttons[chosen]?.focus();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (document.body.dataset.screen !== 'edit' || document.querySelector('dialog[open]')) return;
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (command && key === 'z') event.shiftKey ? this.selection.redo() : this.selection.undo();
    else if (command && key === 'y') this.selection.redo();
    else if (command || event.altKey) return;
    else if (key === 'n') this.selection.startAnother();
    else if (key === '+' || key === '=') this.stage.zoom(1);
    else if (key === '-') this.stage.zoom(-1);
    else if (key === '0') this.stage.zoom(0);
    else if ((key === 'delete' || key === 'backspace') && this.selection.current) {
      this.selection.remove(this.selection.current.id);
    } else return;
    event.preventDefault();
  }
}
