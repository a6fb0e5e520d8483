/**
 * One picture's way from opening to the results: which screen is due, which job it is. Touches no element.
 *
 * Events: `screen`; `picture` {url, width, height, isNew}; `progress` {title, text, fraction}; `results` {status, signal}: aborted once this picture or run is left;
 * `problem` {explanation, retry, label}; `instead` {file, offer}: what could be sent in place of what is being sent; `forgetful`: what is selected is not kept for a reload.
 *
 * @typedef {'start' | 'empty' | 'uploading' | 'edit' | 'processing' | 'results'} Screen
 * @typedef {import('./types.js').Output} Output
 * @typedef {import('./types.js').JobStatus} JobStatus
 */

import { ApiError, wirePrompt } from './api.js';
import { pixelsOf } from './mask.js';
import { maskPng } from './mask_png.js';
import { forget, recall, remember, setJobInAddress } from './memory.js';
import { openPicture } from './opened_picture.js';
import { explain, explainJob } from './problems.js';
import { quietly, withRetries } from './retry.js';
import { followJob, runJob } from './run_job.js';
import { sendPicture } from './send_picture.js';
import { copyLabel, fileToSend, insteadOf, rememberedKind } from './smaller_copy.js';
import { doingText } from './words/replies.js';

export class Session extends EventTarget {
  /** @type {Screen} */
  screen = 'start';
  /** @type {string | null} */
  jobId = null;
  name = 'picture';
  width = 1;
  height = 1;
  originalUrl = '';
  /** @type {Blob | null} original.png */
  #original = null;
  /** @type {'removed' | 'cutouts'} */
  view = 'removed';
  /** @type {import('./types.js').Named[]} what the job is about, in the order in which it was sent */
  #sent = [];
  #abort = new AbortController();
  #isForgetful = false;
  #isShown = false;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./objects.js').Selection} selection
   * @param {import('./previews.js').Previews} previews
   */
  constructor(api, selection, previews) {
    super();
    this.api = api;
    this.selection = selection;
    this.previews = previews;
    selection.addEventListener('change', () => this.#remember());
  }

  /**
   * @param {File} file
   * @param {import('./smaller_copy.js').Kind | null} [asked] null: a large one is sent as the last large one was
   */
  async open(file, asked = null) {
    this.#leave();
    const { signal } = this.#abort;
    this.name = file.name || 'picture.png';
    this.#go('uploading');
    const local = this.#showLocal(file, signal);
    try {
      const sent = await this.#toSend(file, local, asked, signal);
      await this.#enterNew(await sendPicture(this.api, sent, this.name, signal, this.#report), signal);
      this.#go('edit');
    } catch (error) {
      const picture = await local;
      if (signal.aborted) return;
      this.#go('empty');
      const canShrink = picture && asked !== 'smaller' && isTooLarge(error);
      if (canShrink) this.#problem(error, () => this.open(file, 'smaller'), copyLabel(picture));
      else this.#problem(error, () => this.open(file, asked));
    } finally {
      local.then((picture) => picture && URL.revokeObjectURL(picture.url));
    }
  }

  /**
   * The file as it is, at once; or a smaller copy, where that is wanted. What could be sent instead is told.
   * @param {File} file
   * @param {Promise<import('./opened_picture.js').OpenedPicture | null>} local
   * @param {import('./smaller_copy.js').Kind | null} asked
   * @param {AbortSignal} signal
   * @returns {Promise<Blob>}
   */
  async #toSend(file, local, asked, signal) {
    const tell = (/** @type {any} */ picture, /** @type {import('./smaller_copy.js').Kind} */ kind) => {
      if (picture && !signal.aborted) this.#emit('instead', { file, offer: insteadOf(file, picture, kind) });
    };
    this.#emit('instead', { file, offer: null });
    if ((asked ?? rememberedKind()) === 'original') {
      local.then((picture) => tell(picture, 'original'));
      return file;
    }
    const picture = await local;
    const isWanted = asked === 'smaller' || (picture && insteadOf(file, picture, 'original'));
    const { sent, kind } = await fileToSend(file, picture, isWanted ? 'smaller' : 'original');
    tell(picture, kind);
    return sent;
  }

  /**
   * Back to a job after a reload.
   * @param {string} jobId
   */
  async resume(jobId) {
    const { signal } = this.#abort;
    const known = recall(jobId);
    try {
      const status = await quietly(() => this.api.status(jobId, signal), signal);
      this.name = known?.name ?? 'picture';
      this.view = known?.view ?? 'removed';
      this.#sent = known?.sent ?? [];
      await this.#enter(jobId, signal);
      this.selection.load(known?.selection ?? null);
      if (status.status === 'uploaded') return this.#go('edit');
      if (status.status === 'processing') this.#go('processing');
      const running = status.status === 'processing' ? followJob(this.api, jobId, signal, this.#report) : status;
      this.#end(await running, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (this.screen !== 'edit') this.#go('empty');
      if (error instanceof ApiError && error.status === 404) this.#forgetJob();
      this.#problem(error, () => this.resume(jobId));
    }
  }

  /** What the job is about, as it is called by now. */
  get sent() {
    const { named } = this.selection;
    return this.#sent.map((then) => named.find(({ id }) => id === then.id) ?? then);
  }

  /**
   * @param {Output[]} outputs what is asked for, and thus all that is computed
   * @param {readonly number[]} [ids] of the objects it is about; else all
   * @param {'removed' | 'cutouts'} [view] to show first
   */
  async run(outputs, ids, view) {
    const { jobId } = this;
    const objects = this.selection.objects.filter(({ id }) => !ids || ids.includes(id));
    if (!jobId || !objects.length) return;
    const { signal } = this.#abort;
    this.view = view ?? (outputs.includes('full_inpainted') ? 'removed' : 'cutouts');
    this.#sent = this.selection.named.filter(({ id }) => objects.some((object) => object.id === id));
    this.#remember();
    const work = outputs.length > 1 ? 'both' : outputs.includes('cropped') ? 'extract' : 'remove';
    const doing = doingText(work, this.#titles).replace(/\.$/, '');
    /** @type {import('./run_job.js').Report} */
    const report = (title, text, fraction) => this.#report(title === 'Working' ? doing : title, text, fraction);
    this.#go('processing');
    try {
      const wire = await Promise.all(objects.map((object) => this.#wire(object)));
      this.#end(await runJob(this.api, jobId, wire, outputs, signal, report), signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#go('edit');
      this.#problem(error, () => this.run(outputs, ids, view));
    }
  }

  get #titles() {
    return this.sent.map(({ title }) => title);
  }

  /**
   * Ends the run that is under way: its job is deleted, and the same picture becomes another one, so that the
   * selection and its masks stay as they are.
   */
  async cancelRun() {
    const { jobId } = this;
    const picture = this.#original;
    if (this.screen !== 'processing' || !jobId || !picture) return;
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#go('uploading');
    /** @type {import('./run_job.js').Report} */
    const report = (_, text, fraction) => this.#report('Cancelled', text, fraction);
    try {
      report('', 'Bringing your selection back', 0);
      await withRetries(() => this.api.cleanup(jobId).catch(unlessGone), signal, () => {});
      const file = new File([picture], 'original.png', { type: picture.type });
      this.jobId = await sendPicture(this.api, file, file.name, signal, report);
      this.previews.moveTo(this.jobId);
      setJobInAddress(this.jobId);
      this.#remember();
      this.#go('edit');
    } catch (error) {
      if (signal.aborted) return;
      this.#forgetJob();
      this.#go('empty');
      this.#problem(error, () => this.open(new File([picture], this.name, { type: picture.type })));
    }
  }

  /** Nothing is open yet. */
  begin() {
    this.#go('empty');
  }

  /** Back from the results to the selection. */
  edit() {
    if (this.jobId) this.#go('edit');
  }

  /** Deletes everything of this picture, here and on the server. */
  startOver() {
    this.#leave();
    this.#go('empty');
  }

  /** The results are fetched and drawn. */
  showResults() {
    this.#go('results');
  }

  /** @param {JobStatus} status of a job that has come to its end @param {AbortSignal} signal */
  #end(status, signal) {
    if (signal.aborted) return;
    if (status.status === 'ready') return this.#emit('results', { status, signal });
    this.#go('edit');
    this.#emit('problem', { explanation: explainJob(status.error, this.#titles), retry: null });
  }

  /** @param {import('./types.js').SelectedObject} object */
  async #wire(object) {
    const isOurs = object.choice !== null || object.strokes.length > 0;
    const mask = isOurs ? this.previews.maskOf(object) : null;
    return mask ? { mask: await maskPng(pixelsOf(mask), this.width, this.height) } : wirePrompt(object);
  }

  /**
   * From here on this job is the one at hand. Its original.png is the frame of all coordinates.
   * @param {string} jobId
   * @param {AbortSignal} signal
   */
  async #enter(jobId, signal) {
    const file = await quietly(() => this.api.file(jobId, 'original.png', signal), signal);
    const original = await openPicture(file);
    if (signal.aborted) {
      URL.revokeObjectURL(original.url);
      throw new DOMException('Cancelled', 'AbortError');
    }
    this.jobId = jobId;
    this.width = original.width;
    this.height = original.height;
    this.originalUrl = original.url;
    this.#original = file;
    this.previews.reset(jobId, original);
    setJobInAddress(jobId);
    this.#show(original);
    this.selection.reset();
  }

  /**
   * As `#enter`; the job is deleted where the picture was left meanwhile, or its copy does not arrive: nobody else knows of it.
   * @param {string} jobId
   * @param {AbortSignal} signal
   */
  async #enterNew(jobId, signal) {
    try {
      await this.#enter(jobId, signal);
    } catch (error) {
      this.#delete(jobId);
      throw error;
    }
  }

  /**
   * The picture at once, before the server has it. Where this browser cannot show it, the server's copy comes later.
   * @param {File} file
   * @param {AbortSignal} signal
   */
  async #showLocal(file, signal) {
    const local = await openPicture(file).catch(() => null);
    if (local && !signal.aborted && !this.jobId) this.#show(local);
    return local;
  }

  /** @param {import('./opened_picture.js').OpenedPicture} picture this browser's, then the server's of the same photo */
  #show(picture) {
    this.#emit('picture', { ...picture, isNew: !this.#isShown });
    this.#isShown = true;
  }

  /** Drops the picture at hand, on the server too. */
  #leave() {
    this.#abort.abort();
    this.#abort = new AbortController();
    if (this.jobId) this.#delete(this.jobId);
    this.#isShown = false;
    if (this.originalUrl) URL.revokeObjectURL(this.originalUrl);
    this.originalUrl = '';
    this.#forgetJob();
  }

  /** @param {string} jobId it expires by itself if this fails */
  #delete(jobId) {
    this.api.cleanup(jobId).catch(() => {});
  }

  #forgetJob() {
    this.jobId = null;
    this.#sent = [];
    this.previews.reset(null);
    this.selection.reset();
    setJobInAddress(null);
    forget();
  }

  #remember() {
    if (!this.jobId) return;
    const { jobId, name, view } = this;
    const isKept = remember({ jobId, name, selection: this.selection.toJSON(), view, sent: this.#sent });
    if (!isKept && !this.#isForgetful) this.#emit('forgetful');
    this.#isForgetful = !isKept;
  }

  /** @param {'removed' | 'cutouts'} view */
  setView(view) {
    this.view = view;
    this.#remember();
  }

  /** @param {Screen} screen */
  #go(screen) {
    this.screen = screen;
    this.#emit('screen');
  }

  /** @type {import('./run_job.js').Report} */
  #report = (title, text, fraction) => this.#emit('progress', { title, text, fraction });

  /** @param {unknown} error @param {() => void} retry @param {string} [label] of what `retry` does, where that is something else */
  #problem(error, retry, label = '') {
    const useless = !label && error instanceof ApiError && [400, 404, 413, 422].includes(error.status);
    this.#emit('problem', { explanation: explain(error, this.#titles), retry: useless ? null : retry, label });
  }

  /** @param {string} name @param {object} [detail] */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** @param {unknown} error */
function unlessGone(error) {
  if (!(error instanceof ApiError && error.status === 404)) throw error;
}

/** @param {unknown} error the server, or a proxy before it, takes no file or picture of that size */
function isTooLarge(error) {
  return error instanceof ApiError && (error.status === 413 || (error.status === 400 && /\blimit\b/.test(error.message)));
}
