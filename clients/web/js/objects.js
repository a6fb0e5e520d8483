/**
 * The user's selection: objects, which one is current, undo and redo. Knows neither page nor server.
 *
 * Every state is an immutable snapshot, so that undo is a matter of looking at an older one. A `change` event
 * follows each change.
 *
 * @typedef {import('./types.js').SelectedObject} SelectedObject
 * @typedef {import('./types.js').Point} Point
 * @typedef {import('./types.js').Box} Box
 * @typedef {import('./types.js').Label} Label
 *
 * @typedef {Object} Snapshot
 * @property {readonly SelectedObject[]} objects  none is empty
 * @property {number | null} currentId  the object that taps refine; null: the next tap starts one
 * @property {number} nextId
 */

import { PALETTE } from './palette.js';
import { cleanName, titleOf } from './words/names.js';

const MAX_HISTORY = 200;
/** @type {Snapshot} */
const EMPTY = { objects: [], currentId: null, nextId: 1 };

export class Selection extends EventTarget {
  /** @type {Snapshot} */
  #now = EMPTY;
  /** @type {Snapshot[]} */
  #past = [];
  /** @type {Snapshot[]} */
  #future = [];

  get objects() {
    return this.#now.objects;
  }

  /** @returns {SelectedObject | null} */
  get current() {
    return this.#now.objects.find((object) => object.id === this.#now.currentId) ?? null;
  }

  /** Colour of the object that is started next: one that no other has, while there are any. */
  get nextColour() {
    const used = new Set(this.objects.map((object) => object.colour));
    const free = PALETTE.findIndex((_, index) => !used.has(index));
    return free >= 0 ? free : this.objects.length % PALETTE.length;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /**
   * Adds a point to the current object, or starts one.
   * @param {Point} point
   * @param {Label} label
   * @returns {boolean} false: there is nothing tapped yet from which the point could be left out
   */
  addPoint(point, label) {
    const current = this.current;
    if (label === 0 && !current?.box && !current?.labels.includes(1)) return false;
    if (!current) {
      this.#start({ points: [point], labels: [label], box: null, strokes: [] });
      return true;
    }
    this.#replace({
      ...current,
      points: [...current.points, point],
      labels: [...current.labels, label],
      choice: null,
    });
    return true;
  }

  /**
   * A box always starts an object of its own: it says where one is, not what to change about another.
   * @param {Box} box
   */
  addBox(box) {
    this.#start({ points: [], labels: [], box, strokes: [] });
  }

  /**
   * Corrects the current object by hand, or paints a new one.
   * @param {import('./types.js').Stroke} stroke
   * @returns {boolean} false: there is nothing yet that could be erased
   */
  addStroke(stroke) {
    const current = this.current;
    if (current) this.#replace({ ...current, strokes: [...current.strokes, stroke] });
    else if (stroke.erase) return false;
    else this.#start({ points: [], labels: [], box: null, strokes: [stroke] });
    return true;
  }

  /** @param {number} index which of the preview's candidates to take for the current object */
  choose(index) {
    const current = this.current;
    if (current && current.choice !== index) this.#replace({ ...current, choice: index });
  }

  /** The next tap starts another object. */
  startAnother() {
    if (this.#now.currentId !== null) this.#show({ ...this.#now, currentId: null });
  }

  /** @param {number} id */
  select(id) {
    if (this.#now.currentId !== id) this.#show({ ...this.#now, currentId: id });
  }

  /** @param {number[]} ids dropped in one step */
  remove(...ids) {
    const objects = this.#now.objects.filter((object) => !ids.includes(object.id));
    if (objects.length === this.#now.objects.length) return;
    const kept = objects.some((object) => object.id === this.#now.currentId) || this.#now.currentId === null;
    this.#commit({ ...this.#now, objects, currentId: kept ? this.#now.currentId : (objects.at(-1)?.id ?? null) });
  }

  /**
   * @param {number} id
   * @param {string} name '': the object is called by its number again
   */
  rename(id, name) {
    const object = this.objects.find((each) => each.id === id);
    const clean = cleanName(name);
    if (object && (object.name ?? '') !== clean) this.#replace({ ...object, name: clean });
  }

  /** @returns {import('./types.js').Named[]} what the objects are called, in their order */
  get named() {
    return this.objects.map((object, index) => ({ id: object.id, title: titleOf(object, index), name: object.name ?? '' }));
  }

  undo() {
    const past = this.#past.pop();
    if (!past) return;
    this.#future.push(this.#now);
    this.#show(past);
  }

  redo() {
    const future = this.#future.pop();
    if (!future) return;
    this.#past.push(this.#now);
    this.#show(future);
  }

  /** Forgets everything, history too. */
  reset() {
    this.load(null);
  }

  /** @returns {Snapshot} to be kept across a reload */
  toJSON() {
    return this.#now;
  }

  /** @param {any} snapshot as `toJSON` gave it; anything else empties the selection */
  load(snapshot) {
    this.#past = [];
    this.#future = [];
    this.#show(isSnapshot(snapshot) ? withStrokes(snapshot) : EMPTY);
  }

  /** @param {Omit<SelectedObject, 'id' | 'colour' | 'choice'>} prompt */
  #start(prompt) {
    const { objects, nextId } = this.#now;
    const object = { id: nextId, colour: this.nextColour, choice: null, ...prompt };
    this.#commit({ objects: [...objects, object], currentId: nextId, nextId: nextId + 1 });
  }

  /** @param {SelectedObject} changed */
  #replace(changed) {
    const objects = this.#now.objects.map((object) => (object.id === changed.id ? changed : object));
    this.#commit({ ...this.#now, objects });
  }

  /** @param {Snapshot} next */
  #commit(next) {
    this.#past = [...this.#past, this.#now].slice(-MAX_HISTORY);
    this.#future = [];
    this.#show(next);
  }

  /** @param {Snapshot} next */
  #show(next) {
    this.#now = next;
    this.dispatchEvent(new Event('change'));
  }
}

/** @param {any} value @returns {value is Snapshot} */
function isSnapshot(value) {
  return (
    Array.isArray(value?.objects) &&
    Number.isInteger(value.nextId) &&
    value.objects.every(
      (/** @type {any} */ object) =>
        Number.isInteger(object?.id) &&
        Number.isInteger(object.colour) &&
        Array.isArray(object.points) &&
        Array.isArray(object.labels) &&
        ['undefined', 'string'].includes(typeof object.name) &&
        object.points.length === object.labels.length &&
        (object.strokes ?? []).every(isStroke),
    )
  );
}

/** @param {any} stroke */
const isStroke = (stroke) =>
  Array.isArray(stroke?.path) && stroke.path.length > 0 && stroke.path.length % 3 === 0 && stroke.path.every(Number.isFinite);

/** @param {Snapshot} snapshot perhaps of the time before there were strokes */
function withStrokes(snapshot) {
  return { ...snapshot, objects: snapshot.objects.map((object) => ({ ...object, strokes: object.strokes ?? [] })) };
}
