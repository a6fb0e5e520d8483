/**
 * The tools under the picture, the keys, and the choice between a smaller and a larger outline.
 *
 * @typedef {import('./objects.js').Selection} Selection
 * @typedef {'add' | 'leave-out' | 'paint' | 'erase'} Tool
 */

import { byId, make } from './dom.js';

const SIZE_NAMES = ['Smaller', 'Medium', 'Larger'];
const TOOLS = /** @type {const} */ (['add', 'leave-out', 'paint', 'erase']);

export class Toolbar extends EventTarget {
  /**
   * @param {Selection} selection
   * @param {import('./previews.js').Previews} previews
   * @param {import('./stage/stage.js').Stage} stage
   * @param {import('./brush.js').Brush} brush
   */
  constructor(selection, previews, stage, brush) {
    super();
    this.selection = selection;
    this.previews = previews;
    this.stage = stage;
    this.brush = brush;
    /** @type {Tool} */
    this.tool = 'add';
    /** @type {[string, () => void][]} */
    const actions = [
      ['undo', () => selection.undo()],
      ['redo', () => selection.redo()],
      ['zoom-in', () => stage.zoom(1)],
      ['zoom-out', () => stage.zoom(-1)],
      ['zoom-fit', () => stage.zoom(0)],
      ['another', () => selection.startAnother()],
    ];
    for (const tool of TOOLS) actions.push([`tool-${tool}`, () => this.take(tool)]);
    for (const [id, run] of actions) byId(id).addEventListener('click', run);
    stage.addEventListener('view', () => {
      const percent = Math.round(stage.view.zoom * 100);
      byId('zoom-fit').textContent = `${percent}%`;
      byId('zoom-fit').toggleAttribute('data-zoomed', percent !== 100);
    });
    addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** @param {Tool} tool */
  take(tool) {
    this.tool = tool;
    this.stage.leavingOut = tool === 'leave-out';
    this.brush.take(tool === 'paint' || tool === 'erase' ? tool : null);
    for (const each of TOOLS) byId(`tool-${each}`).setAttribute('aria-pressed', String(each === tool));
    this.#renderSizes();
    this.dispatchEvent(new Event('tool'));
  }

  render() {
    const { canUndo, canRedo, objects, current } = this.selection;
    byId('undo', HTMLButtonElement).disabled = !canUndo;
    byId('redo', HTMLButtonElement).disabled = !canRedo;
    byId('another', HTMLButtonElement).disabled = !current;
    const lost = objects.some((object) => this.previews.foundNothing(object) || this.previews.isUnfinished(object));
    const all = objects.length > 1 ? ` all ${objects.length}` : '';
    for (const [id, text] of [['remove', 'Remove'], ['cut-out', 'Cut out']]) {
      byId(id, HTMLButtonElement).disabled = !objects.length || lost;
      const label = /** @type {HTMLElement} */ (byId(id).querySelector('span'));
      if (label.textContent !== text + all) label.textContent = text + all;
    }
    // There is something to leave out of where something was tapped, and to erase from where there is anything.
    const isTapped = Boolean(current?.box || current?.labels.includes(1));
    byId('tool-leave-out', HTMLButtonElement).disabled = !isTapped;
    byId('tool-erase', HTMLButtonElement).disabled = !current;
    if (byId(`tool-${this.tool}`, HTMLButtonElement).disabled) this.take(this.tool === 'erase' ? 'paint' : 'add');
    this.#renderSizes();
  }

  #renderSizes() {
    const { current } = this.selection;
    const box = byId('sizes');
    const candidates = current ? this.previews.candidatesOf(current) : [];
    const mask = current && this.previews.maskOf(current);
    box.hidden = candidates.length < 2 || !mask || this.brush.tool !== null;
    if (box.hidden || !mask) return;
    const focused = box.contains(document.activeElement);
    const distance = (/** @type {number} */ index) => Math.abs(candidates[index].area - mask.area);
    const nearest = [...candidates.keys()].sort((a, b) => distance(a) - distance(b))[0];
    const chosen = current.choice ?? nearest;
    const names = candidates.length === 2 ? [SIZE_NAMES[0], SIZE_NAMES[2]] : SIZE_NAMES;
    const buttons = candidates.map((_, index) =>
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
    if (document.body.dataset.screen !== 'edit' || document.querySelector('dialog[open]') || isTyping(event)) return;
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (command && key === 'z') event.shiftKey ? this.selection.redo() : this.selection.undo();
    else if (command && key === 'y') this.selection.redo();
    else if (command || event.altKey) return;
    else if (key === 'n') this.selection.startAnother();
    else if (key === 't') this.take('add');
    else if (key === 'b') this.take('paint');
    else if (key === 'e' && this.selection.current) this.take('erase');
    else if (key === '[' || key === ']') this.brush.step(key === ']' ? 1 : -1);
    else if (key === '+' || key === '=') this.stage.zoom(1);
    else if (key === '-') this.stage.zoom(-1);
    else if (key === '0') this.stage.zoom(0);
    else if ((key === 'delete' || key === 'backspace') && this.selection.current) {
      this.selection.remove(this.selection.current.id);
    } else return;
    event.preventDefault();
  }
}

/** @param {KeyboardEvent} event whether its key is a letter of a text */
export function isTyping({ target }) {
  if (target instanceof HTMLInputElement) return !['range', 'checkbox', 'radio', 'file'].includes(target.type);
  return target instanceof HTMLTextAreaElement;
}
