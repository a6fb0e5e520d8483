/**
 * What came of it: the picture without the objects, the cut-outs, and their downloads.
 *
 * @typedef {import('./types.js').JobStatus} JobStatus
 * @typedef {'removed' | 'cutouts'} View
 * @typedef {import('./types.js').Named} Named
 * @typedef {{file: string, blob: Blob, url: string, index: number, cutout: boolean}} Shown  `index` among the job's objects
 */

import { showComparison, sweep } from './compare.js';
import { byId, icon, make, saveAs } from './dom.js';
import { quietly } from './retry.js';
import { fileNameOf } from './words/names.js';

/** @type {Record<View, string>} */
const TITLES = { removed: 'Removed', cutouts: 'Cut out' };
/** @type {Record<string, string>} */
const EXTENSIONS = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/** @param {number} bytes */
const sizeOf = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

export class Results extends EventTarget {
  /**
   * @param {import('./api.js').Api} api
   * @param {(error: unknown) => void} onError
   */
  constructor(api, onError) {
    super();
    this.api = api;
    this.onError = onError;
    /** @type {Shown[]} */
    this.shown = [];
    /** @type {View} */
    this.view = 'removed';
    this.jobId = '';
    this.stem = 'picture';
    /** @type {JobStatus | null} */
    this.status = null;
    /** @type {readonly Named[]} the job's objects */
    this.named = [];
  }

  /** @param {View} view */
  has(view) {
    return this.shown.some((item) => item.cutout === (view === 'cutouts'));
  }

  /**
   * @param {JobStatus} status of a job that is ready
   * @param {string} originalUrl
   * @param {string} name of the picture's file
   * @param {View} view to show first, where there is a choice
   * @param {readonly Named[]} named the job's objects; those that are missing are called by their number
   * @param {AbortSignal} signal
   * @throws where a file cannot be had, or the signal is aborted before all are here
   */
  async show(status, originalUrl, name, view, named, signal) {
    this.clear();
    this.status = status;
    this.named = named;
    this.jobId = status.job_id;
    this.stem = name.replace(/\.[^.]*$/, '') || 'picture';
    const files = (status.files ?? []).filter((file) => /^(full_inpainted|cropped_\d+)\.\w+$/.test(file));
    files.sort((a, b) => Number(b.startsWith('full')) - Number(a.startsWith('full')) || numberOf(a) - numberOf(b));
    const blobs = await Promise.all(files.map((file) => quietly(() => this.api.file(status.job_id, file, signal), signal)));
    signal.throwIfAborted();
    this.shown = files.map((file, i) => shownOf(file, blobs[i]));
    this.view = this.has(view) ? view : this.has('removed') ? 'removed' : 'cutouts';
    const removed = this.shown.find((item) => !item.cutout);
    if (removed) showComparison(originalUrl, removed.url);
    const until = new Date(status.expires_at ?? NaN);
    byId('kept').textContent = Number.isNaN(until.getTime()) ? '' : `Kept on the server until ${clock(until)}.`;
    this.#render();
    if (this.view === 'removed') sweep();
  }

  clear() {
    for (const item of this.shown) URL.revokeObjectURL(item.url);
    this.shown = [];
  }

  /** @param {readonly Named[]} named as the objects are called now */
  rename(named) {
    if (JSON.stringify(named) === JSON.stringify(this.named)) return;
    this.named = named;
    if (this.shown.length) this.#render();
  }

  /** @param {number} index of an object of the job */
  #titleOf(index) {
    return this.named[index]?.title ?? `Object ${index + 1}`;
  }

  /** @param {Shown} item */
  #title(item) {
    return item.cutout ? this.#titleOf(item.index) : 'Clean picture';
  }

  /** @param {Shown} item @returns {string} the name of its file when it is saved */
  #saveName(item) {
    const number = Number(/^Object (\d+)$/.exec(this.#titleOf(item.index))?.[1] ?? item.index + 1);
    const given = fileNameOf(this.named[item.index]?.name ?? '');
    const twin = this.named.some(({ name }, i) => i < item.index && fileNameOf(name).toLowerCase() === given.toLowerCase());
    const what = !item.cutout ? 'removed' : given ? given + (twin ? `-${number}` : '') : `cut-out-${number}`;
    return `${this.stem}-${what}.${EXTENSIONS[item.blob.type] ?? 'png'}`;
  }

  #showWarnings() {
    const doubtful = (this.status?.objects ?? []).filter((object) => object.warnings?.length);
    const rows = doubtful.map(({ index = 0, warnings = [] }) =>
      make('li', {}, make('b', {}, `${this.#titleOf(index)}: `), `${warnings.join('; ')}.`),
    );
    const box = byId('warnings');
    box.hidden = !rows.length;
    const title = rows.length > 1 ? `Look closely at ${rows.length} objects` : 'Look closely at the outline';
    box.replaceChildren(make('summary', {}, title), make('ul', {}, ...rows));
  }

  #render() {
    this.#showWarnings();
    const both = this.has('removed') && this.has('cutouts');
    byId('result-tabs').replaceChildren(...(both ? /** @type {View[]} */ (['removed', 'cutouts']) : []).map((v) => this.#tab(v)));
    byId('compare').hidden = this.view !== 'removed';
    const cutouts = byId('cutouts');
    cutouts.hidden = this.view !== 'cutouts';
    const images = this.shown.filter((item) => item.cutout);
    cutouts.replaceChildren(...images.map((item) => make('li', {}, make('img', { src: item.url, alt: this.#title(item) }))));
    byId('files').replaceChildren(...this.shown.map((item) => this.#row(item)));
    byId('result-actions').replaceChildren(...this.#actions());
  }

  /** @param {View} view */
  look(view) {
    this.view = view;
    this.#render();
    this.dispatchEvent(new Event('view'));
  }

  /** @param {View} view */
  #tab(view) {
    const chosen = view === this.view;
    const choose = () => {
      this.look(view);
      /** @type {HTMLElement | null} */ (byId('result-tabs').querySelector('[aria-pressed="true"]'))?.focus();
    };
    return make(
      'button',
      { type: 'button', 'aria-pressed': String(chosen), on: { click: choose } },
      TITLES[view],
    );
  }

  /** @param {Shown} item */
  #row(item) {
    const actions = make('div', { class: 'file-actions' });
    const [title, saveName] = [this.#title(item), this.#saveName(item)];
    const file = new File([item.blob], saveName, { type: item.blob.type });
    if (navigator.canShare?.({ files: [file] }) && matchMedia('(pointer: coarse)').matches) {
      actions.append(this.#tool('share', `Share: ${title}`, () => navigator.share({ files: [file] }).catch(() => {})));
    }
    if (navigator.clipboard && 'ClipboardItem' in globalThis && item.blob.type === 'image/png') {
      const copy = this.#tool('copy', `Copy: ${title}`, async () => {
        await navigator.clipboard.write([new ClipboardItem({ [item.blob.type]: item.blob })]).catch(this.onError);
        copy.replaceChildren(icon('check'));
        setTimeout(() => copy.replaceChildren(icon('copy')), 1600);
      });
      actions.append(copy);
    }
    actions.append(
      make(
        'a',
        { class: 'tool', href: item.url, download: saveName, title: 'Download', 'aria-label': `Download: ${title}` },
        icon('download'),
      ),
    );
    return make(
      'li',
      { class: 'file' },
      make('img', { class: item.cutout ? 'thumb' : 'thumb photo', src: item.url, alt: '' }),
      make('div', {}, make('b', {}, title), make('small', {}, `${item.cutout ? 'Cut-out' : 'Picture'}, ${EXTENSIONS[item.blob.type]?.toUpperCase() ?? 'File'}, ${sizeOf(item.blob.size)}`)),
      actions,
    );
  }

  /** @param {string} symbol @param {string} label @param {() => void} click */
  #tool(symbol, label, click) {
    return make('button', { type: 'button', class: 'tool', title: label.split(':')[0], 'aria-label': label, on: { click } }, icon(symbol));
  }

  #actions() {
    const inView = this.#inView;
    /** @param {string} name */
    const ask = (name) => () => this.dispatchEvent(new Event(name));
    /** @type {[string, string, string, () => void][]} */
    const buttons = [];
    if (inView.length === 1) buttons.push(['primary large', 'download', 'Download', () => this.#save(inView[0])]);
    buttons.push([buttons.length ? '' : 'primary large', 'zip', 'All as zip', () => this.saveAll()]);
    const isKnown = this.named.length > 0; // Else what was selected is kept in another browser.
    if (isKnown && !this.has('cutouts')) buttons.push(['', 'scissors', 'Cut out too', ask('cut-out-too')]);
    else if (isKnown && !this.has('removed')) buttons.push(['', 'wand', 'Remove too', ask('remove-too')]);
    return buttons.map(([kind, symbol, label, click]) =>
      make('button', { type: 'button', class: `button ${kind}`, on: { click } }, icon(symbol), make('span', {}, label)),
    );
  }

  get #inView() {
    return this.shown.filter((item) => item.cutout === (this.view === 'cutouts'));
  }

  /** @param {Shown} item */
  #save(item) {
    saveAs(item.blob, this.#saveName(item));
  }

  /** Saves what is in view: the one file, or all as one. */
  saveShown() {
    if (this.#inView.length === 1) this.#save(this.#inView[0]);
    else this.saveAll();
  }

  /** @returns {boolean} false: there is no picture without the objects */
  savePicture() {
    const picture = this.shown.find((item) => !item.cutout);
    if (picture) this.#save(picture);
    return Boolean(picture);
  }

  /**
   * @param {number} id of an object
   * @returns {boolean} false: it was not cut out
   */
  saveCutout(id) {
    const cutout = this.shown.find((item) => item.cutout && this.named[item.index]?.id === id);
    if (cutout) this.#save(cutout);
    return Boolean(cutout);
  }

  async saveAll() {
    try {
      saveAs(await quietly(() => this.api.file(this.jobId, 'archive.zip')), `${this.stem}-tapcut.zip`);
    } catch (error) {
      this.onError(error);
    }
  }
}

/** @param {string} file @param {Blob} blob @returns {Shown} */
function shownOf(file, blob) {
  return { file, blob, cutout: file.startsWith('cropped'), index: numberOf(file), url: URL.createObjectURL(blob) };
}

/** @param {Date} date @returns {string} the time, and the day where it is not today */
function clock(date) {
  const today = date.toDateString() === new Date().toDateString();
  const soon = date.getTime() - Date.now() < 6 * 86_400_000;
  const time = /** @type {const} */ ({ hour: 'numeric', minute: '2-digit' });
  if (today) return date.toLocaleString([], time);
  return date.toLocaleString([], soon ? { weekday: 'long', ...time } : { day: 'numeric', month: 'long' });
}

/** @param {string} file */
const numberOf = (file) => Number(/_(\d+)\./.exec(file)?.[1] ?? -1);
