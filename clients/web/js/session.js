/**
 * One picture's way from opening to the results: which screen is due, which job it is. Touches no element.
 *
 * Events: `screen`; `picture` {url, width, height}; `progress` {title, text, fraction}; `results` {status};
 * `problem` {explanation, retry}.
 *
 * @typedef {'start' | 'empty' | 'uploading' | 'edit' | 'processing' | 'results'} Screen
 * @typedef {import('./types.js').Output} Output
 * @typedef {import('./types.js').JobStatus} JobStatus
 */

import { ApiError, newIdempotencyKey, wirePrompt } from './api.js';
import { follow } from './follow.js';
import { maskPng } from './mask_raster.js';
import { forget, recall, remember, setJobInAddress } from './memory.js';
import { explain, explainJob } from './problems.js';
import { withRetries } from './retry.js';
import { stageText } from './stage_text.js';

export class Session extends EventTarget {
  /** @type {Screen} */
  screen = 'start';
  /** @type {string | null} */
  jobId = null;
  name = 'picture';
  width = 1;
  height = 1;
  originalUrl = '';
  /** @type {'removed' | 'cutouts'} */
  view = 'removed';
  #abort = new AbortController();

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

  /** @param {File} file */
  async open(file) {
    this.#leave();
    const { signal } = this.#abort;
    this.name = file.name || 'picture.png';
    this.#go('uploading');
    this.#progress('Opening', 'Sending the picture', 0);
    const local = URL.createObjectURL(file);
    this.#showLocal(local, signal);
    const key = newIdempotencyKey();
    const send = () =>
      this.api.upload(file, this.name, key, (sent) => this.#progress('Opening', sentText(sent), sent * 0.9), signal);
    try {
      const answer = await withRetries(send, signal, (left, error) => this.#wait('Opening', left, error));
      await this.#enter(answer.job_id, answer.width, answer.height, signal);
      this.#go('edit');
    } catch (error) {
      if (signal.aborted) return;
      this.#go('empty');
      this.#problem(error, () => this.open(file));
    } finally {
      URL.revokeObjectURL(local);
    }
  }

  /**
   * Back to a job after a reload.
   * @param {string} jobId
   */
  async resume(jobId) {
    const { signal } = this.#abort;
    const known = recall(jobId);
    try {
      const status = await this.api.status(jobId, signal);
      this.name = known?.name ?? 'picture';
      this.view = known?.view ?? 'removed';
      await this.#enter(jobId, 0, 0, signal);
      this.selection.load(known?.selection ?? null);
      if (status.status === 'processing') await this.#follow(signal);
      else if (status.status === 'ready') this.#finish(status);
      else {
        this.#go('edit');
        if (status.status === 'error') this.#failed(status);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (this.screen !== 'edit') this.#go('empty');
      if (error instanceof ApiError && error.status === 404) this.#forgetJob();
      this.#problem(error, () => this.resume(jobId));
    }
  }

  /** @param {Output[]} outputs */
  async run(outputs) {
    const { jobId } = this;
    const { objects } = this.selection;
    if (!jobId || !objects.length) return;
    const { signal } = this.#abort;
    this.view = outputs.includes('full_inpainted') ? 'removed' : 'cutouts';
    this.#remember();
    const wire = objects.map((object) => {
      const mask = object.choice === null ? null : this.previews.maskOf(object);
      return mask ? { mask: maskPng(mask, this.width, this.height) } : wirePrompt(object);
    });
    const key = newIdempotencyKey();
    this.#go('processing');
    this.#progress('Working', 'Sending the selection', 0);
    try {
      const send = () => this.api.segment(jobId, wire, outputs, key).catch(unlessRunning);
      await withRetries(send, signal, (left, error) => this.#wait('Working', left, error));
      await this.#follow(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#go('edit');
      this.#problem(error, () => this.run(outputs));
    }
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

  /** @param {AbortSignal} signal */
  async #follow(signal) {
    const jobId = /** @type {string} */ (this.jobId);
    this.#go('processing');
    /** @type {JobStatus | null} */
    let latest = null;
    const status = await follow(
      this.api,
      jobId,
      signal,
      (now) => {
        latest = now;
        this.#progress('Working', stageText(now), now.progress / 100);
      },
      (connected) => {
        if (!connected) this.#progress('Connection lost', 'The work goes on. Trying to reach the server…', (latest?.progress ?? 0) / 100);
      },
    );
    if (status.status === 'ready') this.#finish(status);
    else {
      this.#go('edit');
      this.#failed(status);
    }
  }

  /** @param {JobStatus} status */
  #finish(status) {
    this.#emit('results', { status });
  }

  /** The results are fetched and drawn. */
  showResults() {
    this.#go('results');
  }

  /** @param {JobStatus} status */
  #failed(status) {
    this.#emit('problem', { explanation: explainJob(status.error), retry: null });
  }

  /**
   * @param {string} jobId
   * @param {number} width 0: as large as the file says
   * @param {number} height
   * @param {AbortSignal} signal
   */
  async #enter(jobId, width, height, signal) {
    const url = URL.createObjectURL(await this.api.file(jobId, 'original.png', signal));
    const image = new Image();
    image.src = url;
    await image.decode();
    if (signal.aborted) throw new DOMException('Cancelled', 'AbortError');
    this.jobId = jobId;
    this.width = width || image.naturalWidth;
    this.height = height || image.naturalHeight;
    this.originalUrl = url;
    this.previews.reset(jobId);
    setJobInAddress(jobId);
    this.#emit('picture', { url, width: this.width, height: this.height });
    this.selection.reset();
  }

  /**
   * The picture at once, before the server has it; where this browser cannot show it, the server's copy comes later.
   * @param {string} url
   * @param {AbortSignal} signal
   */
  async #showLocal(url, signal) {
    const image = new Image();
    image.src = url;
    try {
      await image.decode();
    } catch {
      return;
    }
    if (!signal.aborted && !this.jobId) {
      this.#emit('picture', { url, width: image.naturalWidth, height: image.naturalHeight });
    }
  }

  /** Drops the picture at hand, on the server too. */
  #leave() {
    this.#abort.abort();
    this.#abort = new AbortController();
    if (this.jobId) this.api.cleanup(this.jobId).catch(() => {}); // It expires by itself if this fails.
    if (this.originalUrl) URL.revokeObjectURL(this.originalUrl);
    this.originalUrl = '';
    this.#forgetJob();
  }

  #forgetJob() {
    this.jobId = null;
    this.previews.reset(null);
    this.selection.reset();
    setJobInAddress(null);
    forget();
  }

  #remember() {
    if (!this.jobId) return;
    remember({ jobId: this.jobId, name: this.name, selection: this.selection.toJSON(), view: this.view });
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

  /** @param {string} title @param {string} text @param {number} fraction */
  #progress(title, text, fraction) {
    this.#emit('progress', { title, text, fraction });
  }

  /** @param {string} title @param {number} left @param {Error} error */
  #wait(title, left, error) {
    const why = error instanceof ApiError ? 'The server is busy.' : 'The connection broke.';
    this.#progress(title, `${why} Trying again in ${left} s`, 0);
  }

  /** @param {unknown} error @param {() => void} retry */
  #problem(error, retry) {
    const useless = error instanceof ApiError && [400, 404, 413, 422].includes(error.status);
    this.#emit('problem', { explanation: explain(error), retry: useless ? null : retry });
  }

  /** @param {string} name @param {object} [detail] */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** @param {unknown} error another page of the same picture may have begun: its job is followed then */
function unlessRunning(error) {
  if (!(error instanceof ApiError && error.status === 409)) throw error;
}

/** @param {number} sent */
const sentText = (sent) => (sent < 1 ? `Sending the picture, ${Math.round(sent * 100)} %` : 'Reading the picture');
