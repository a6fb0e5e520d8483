/**
 * What came of it: the picture without the objects, the cut-outs, and their downloads.
 *
 * @typedef {import('./types.js').JobStatus} JobStatus
 * @typedef {'removed' | 'cutouts'} View
 * @typedef {{file: string, blob: Blob, url: string, title: string, saveName: string, cutout: boolean}} Shown
 */

import { showComparison, sweep } from './compare.js';
import { byId, icon, make, saveAs } from './dom.js';
import { quietly } from './retry.js';

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
   */
  async show(status, originalUrl, name, view) {
    this.clear();
    this.jobId = status.job_id;
    this.stem = name.replace(/\.[^.]*$/, '') || 'picture';
    const files = (status.files ?? []).filter((file) => /^(full_inpainted|cropped_\d+)\.\w+$/.test(file));
    files.sort((a, b) => Number(b.startsWith('full')) - Number(a.startsWith('full')) || numberOf(a) - numberOf(b));
    this.shown = await Promise.all(files.map((file) => this.#fetch(file)));
    this.view = this.has(view) ? view : this.has('removed') ? 'removed' : 'cutouts';
    const removed = this.shown.find((item) => !item.cutout);
    if (removed) showComparison(originalUrl, removed.url);
    this.#showWarnings(status);
    const until = new Date(status.expires_at ?? NaN);
    byId('kept').textContent = Number.isNaN(until.getTime()) ? '' : `Kept on the server until ${clock(until)}.`;
    this.#render();
    if (this.view === 'removed') sweep();
  }

  clear() {
    for (const item of this.shown) URL.revokeObjectURL(item.url);
    this.shown = [];
  }

  /** @param {string} file @returns {Promise<Shown>} */
  async #fetch(file) {
    const { jobId } = this;
    const blob = await quietly(() => this.api.file(jobId, file));
    const cutout = file.startsWith('cropped');
    const number = numberOf(file) + 1;
    const extension = EXTENSIONS[blob.type] ?? 'png';
    return {
      file,
      blob,
      cutout,
      url: URL.createObjectURL(blob),
      title: cutout ? `Object ${number}` : 'Clean picture',
      saveName: `${this.stem}-${cutout ? `cut-out-${number}` : 'removed'}.${extension}`,
    };
  }

  /** @param {JobStatus} status */
  #showWarnings(status) {
    const doubtful = (status.objects ?? []).filter((object) => object.warnings?.length);
    const rows = doubtful.map(({ index = 0, warnings = [] }) =>
      make('li', {}, make('b', {}, `Object ${index + 1}: `), `${warnings.join('; ')}.`),
    );
    const box = byId('warnings');
    box.hidden = !rows.length;
    const title = rows.length > 1 ? `Look closely at ${rows.length} objects` : 'Look closely at the outline';
    box.replaceChildren(make('summary', {}, title), make('ul', {}, ...rows));
  }

  #render() {
    const both = this.has('removed') && this.has('cutouts');
    byId('result-tabs').replaceChildren(...(both ? /** @type {View[]} */ (['removed', 'cutouts']) : []).map((v) => this.#tab(v)));
    byId('compare').hidden = this.view !== 'removed';
    const cutouts = byId('cutouts');
    cutouts.hidden = this.view !== 'cutouts';
    const images = this.shown.filter((item) => item.cutout);
    cutouts.replaceChildren(...images.map((item) => make('li', {}, make('img', { src: item.url, alt: item.title }))));
    byId('files').replaceChildren(...this.shown.map((item) => this.#row(item)));
    byId('result-actions').replaceChildren(...this.#actions());
  }

  /** @param {View} view */
  #tab(view) {
    const chosen = view === this.view;
    const choose = () => {
      this.view = view;
      this.#render();
      /** @type {HTMLElement | null} */ (byId('result-tabs').querySelector('[aria-pressed="true"]'))?.focus();
      this.dispatchEvent(new Event('view'));
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
    const file = new File([item.blob], item.saveName, { type: item.blob.type });
    if (navigator.canShare?.({ files: [file] }) && matchMedia('(pointer: coarse)').matches) {
      actions.append(this.#tool('share', `Share: ${item.title}`, () => navigator.share({ files: [file] }).catch(() => {})));
    }
    if (navigator.clipboard && 'ClipboardItem' in globalThis && item.blob.type === 'image/png') {
      const copy = this.#tool('copy', `Copy: ${item.title}`, async () => {
        await navigator.clipboard.write([new ClipboardItem({ [item.blob.type]: item.blob })]).catch(this.onError);
        copy.replaceChildren(icon('check'));
        setTimeout(() => copy.replaceChildren(icon('copy')), 1600);
      });
      actions.append(copy);
    }
    actions.append(
      make(
        'a',
        { class: 'tool', href: item.url, download: item.saveName, title: 'Download', 'aria-label': `Download: ${item.title}` },
        icon('download'),
      ),
    );
    return make(
      'li',
      { class: 'file' },
      make('img', { class: item.cutout ? 'thumb' : 'thumb photo', src: item.url, alt: '' }),
      make('div', {}, make('b', {}, item.title), make('small', {}, `${item.cutout ? 'Cut-out' : 'Picture'}, ${EXTENSIONS[item.blob.type]?.toUpperCase() ?? 'File'}, ${sizeOf(item.blob.size)}`)),
      actions,
    );
  }

  /** @param {string} symbol @param {string} label @param {() => void} click */
  #tool(symbol, label, click) {
    return make('button', { type: 'button', class: 'tool', title: label.split(':')[0], 'aria-label': label, on: { click } }, icon(symbol));
  }

  #actions() {
    const inView = this.shown.filter((item) => item.cutout === (this.view === 'cutouts'));
    /** @param {string} name */
    const ask = (name) => () => this.dispatchEvent(new Event(name));
    /** @type {[string, string, string, () => void][]} */
    const buttons = [];
    if (inView.length === 1) buttons.push(['primary large', 'download', 'Download', () => saveAs(inView[0].blob, inView[0].saveName)]);
    buttons.push([buttons.length ? '' : 'primary large', 'zip', 'All as zip', () => this.#saveAll()]);
    if (!this.has('cutouts')) buttons.push(['', 'scissors', 'Cut out too', ask('cut-out-too')]);
    else if (!this.has('removed')) buttons.push(['', 'wand', 'Remove too', ask('remove-too')]);
    return buttons.map(([kind, symbol, label, click]) =>
      make('button', { type: 'button', class: `button ${kind}`, on: { click } }, icon(symbol), make('span', {}, label)),
    );
  }

  async #saveAll() {
    try {
      saveAs(await quietly(() => this.api.file(this.jobId, 'archive.zip')), `${this.stem}-tapcut.zip`);
    } catch (error) {
      this.onError(error);
    }
  }
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
