/**
 * Masks for prompts, asked of the server: remembered by prompt, newest answer wins.
 *
 * A `change` event follows each answer, each failure, and the start of each request.
 *
 * @typedef {import('./types.js').Prompt} Prompt
 * @typedef {import('./types.js').SelectedObject} SelectedObject
 * @typedef {import('./types.js').Candidate} Candidate
 * @typedef {import('./types.js').Preview} Preview
 * @typedef {import('./types.js').Point} Point
 */

import { ApiError, NetworkError } from './api.js';
import { Corrections } from './corrections.js';
import { pause } from './pause.js';

/** At most one hover request in this time, and never two under way. */
const HOVER_EVERY_MS = 120;

/** So many answers to hovering are kept: a tap there then shows its mask at once. */
const GLIMPSES = 40;
/** Candidates that differ by less than this share of their area are no choice. */
const SAME_AREA = 0.05;
/** The server refuses smaller masks. */
const SMALLEST_AREA_PX = 50;

/** @param {Prompt} prompt @returns {boolean} false: painted by hand alone, there is nothing to ask */
const asks = ({ points, box }) => points.length > 0 || box !== null;

/** @param {Prompt} prompt */
const keyOf = ({ points, labels, box }) => JSON.stringify([points, labels, box]);

export class Previews extends EventTarget {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super();
    this.api = api;
    /** @type {string | null} */
    this.jobId = null;
    this.corrections = new Corrections();
    /** @type {Map<string, Preview>} */
    this.answers = new Map();
    /** @type {Map<string, Preview>} of places hovered over, the oldest first */
    this.glimpses = new Map();
    /** @type {Map<number, {key: string, abort: AbortController}>} by object */
    this.pending = new Map();
    /** @type {Map<string, unknown>} errors by prompt */
    this.failures = new Map();
    /** @type {{point: Point, preview: Preview} | null} */
    this.hovered = null;
    /** @type {Point | null} */
    this.hoverWish = null;
    this.hovering = false;
  }

  /** @param {string | null} jobId @param {{width: number, height: number}} [size] of the picture */
  reset(jobId, size = { width: 1, height: 1 }) {
    this.corrections.reset(size);
    for (const { abort } of this.pending.values()) abort.abort();
    this.pending.clear();
    this.answers.clear();
    this.glimpses.clear();
    this.failures.clear();
    this.leave();
    this.jobId = jobId;
    this.#changed();
  }

  /**
   * The same picture is another job now: what is known of it stays known.
   * @param {string} jobId
   */
  moveTo(jobId) {
    this.jobId = jobId;
  }

  /**
   * @param {SelectedObject} object
   * @returns {Candidate | null} its mask with what the hand corrected, once known
   */
  maskOf(object) {
    const base = this.#baseOf(object);
    const nothingElse = !asks(object) || this.#isRefused(object);
    return base || nothingElse ? this.corrections.of(object, base) : null;
  }

  /** @param {SelectedObject} object @returns {Candidate | null} the network's mask */
  #baseOf(object) {
    const answer = this.answers.get(keyOf(object));
    if (!answer) return null;
    return object.choice === null ? answer : (this.candidatesOf(object)[object.choice] ?? answer);
  }

  /**
   * What was shown before the last taps, as long as their answer is awaited: the outline then changes once, not twice.
   * @param {SelectedObject} object
   * @returns {Candidate | null}
   */
  maskBefore(object) {
    if (!this.isPending(object)) return null;
    for (let count = object.points.length - 1; count >= (object.box ? 0 : 1); count -= 1) {
      const [points, labels] = [object.points.slice(0, count), object.labels.slice(0, count)];
      const answer = this.answers.get(keyOf({ points, labels, box: object.box }));
      if (answer) return this.corrections.of(object, answer);
    }
    return this.corrections.of(object, null);
  }

  /**
   * @param {SelectedObject} object
   * @returns {Candidate[]} at most three, from small to large; empty where there is nothing to choose from
   */
  candidatesOf(object) {
    const answer = this.answers.get(keyOf(object));
    if (!answer?.candidates?.length) return [];
    /** @type {Candidate[]} */
    const distinct = [answer];
    for (const candidate of answer.candidates) {
      const twin = distinct.some(({ area }) => Math.abs(area - candidate.area) < SAME_AREA * area);
      if (!twin && candidate.area >= SMALLEST_AREA_PX) distinct.push(candidate);
    }
    if (distinct.length < 2) return [];
    distinct.sort((a, b) => a.area - b.area);
    if (distinct.length <= 3) return distinct;
    // The smallest, the largest, and between them the one in use, else the best.
    const between = distinct.slice(1, -1);
    const best = between.reduce((one, other) => (other.score > one.score ? other : one));
    return [distinct[0], between.includes(answer) ? answer : best, distinct[distinct.length - 1]];
  }

  /** @param {SelectedObject} object */
  isPending(object) {
    return this.pending.get(object.id)?.key === keyOf(object);
  }

  /** @param {SelectedObject} object */
  failureOf(object) {
    return this.failures.get(keyOf(object)) ?? null;
  }

  /**
   * @param {SelectedObject} object
   * @returns {boolean} there is no object, or too little of it is left: a job with it would fail
   */
  foundNothing(object) {
    if (!object.strokes.length) return this.#isRefused(object);
    const mask = this.maskOf(object);
    return mask !== null && mask.area < SMALLEST_AREA_PX;
  }

  /**
   * @param {SelectedObject} object
   * @returns {boolean} corrected by hand, and what it was corrected from is not known yet: it cannot be sent
   */
  isUnfinished(object) {
    return object.strokes.length > 0 && !this.maskOf(object);
  }

  /** @param {SelectedObject} object the server looked and found no object there */
  #isRefused(object) {
    const error = this.failureOf(object);
    return error instanceof ApiError && error.status === 422;
  }

  /**
   * Asks for what is not known yet, and drops what is no longer wanted.
   * @param {readonly SelectedObject[]} objects
   */
  want(objects) {
    const wanted = new Map(objects.map((object) => [object.id, keyOf(object)]));
    for (const [id, { key, abort }] of this.pending) {
      if (wanted.get(id) !== key) {
        abort.abort();
        this.pending.delete(id);
      }
    }
    for (const object of objects.filter(asks)) {
      const key = keyOf(object);
      const glimpse = this.glimpses.get(key);
      if (glimpse) this.answers.set(key, glimpse);
      if (!this.answers.has(key) && !this.failures.has(key) && !this.pending.has(object.id)) this.#ask(object, key);
    }
  }

  /**
   * @param {SelectedObject} object
   * @param {string} key
   */
  async #ask(object, key) {
    const jobId = this.jobId;
    if (!jobId) return;
    const abort = new AbortController();
    this.pending.set(object.id, { key, abort });
    this.#changed();
    try {
      this.answers.set(key, await this.#askPatiently(jobId, object, abort.signal));
    } catch (error) {
      if (abort.signal.aborted) return;
      this.failures.set(key, error);
      this.dispatchEvent(new CustomEvent('failure', { detail: { error, object } }));
    }
    if (this.pending.get(object.id)?.key === key) this.pending.delete(object.id);
    this.#changed();
  }

  /**
   * @param {string} jobId
   * @param {Prompt} prompt
   * @param {AbortSignal} signal
   */
  async #askPatiently(jobId, prompt, signal) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.api.preview(jobId, prompt, signal);
      } catch (error) {
        const busy = error instanceof ApiError && (error.status === 429 || error.status === 503);
        if (!busy || attempt >= 5) throw error;
        await pause(Math.min(error.retryAfterS ?? 1, 10) * 1000, signal);
      }
    }
  }

  /** Asks again for all that failed, for example when the connection is back. */
  forgetFailures() {
    this.failures.clear();
  }

  /**
   * Shows what a tap here would select. Only one request is under way; the newest place is asked for next.
   * @param {Point} point
   */
  async hover(point) {
    this.hoverWish = point;
    if (this.hovering || !this.jobId) return;
    this.hovering = true;
    while (this.hoverWish && this.jobId) {
      const wish = this.hoverWish;
      /** @type {string} */
      const jobId = this.jobId;
      this.hoverWish = null;
      const prompt = { points: [wish], labels: [/** @type {const} */ (1)], box: null };
      const key = keyOf(prompt);
      const known = this.answers.get(key) ?? this.glimpses.get(key);
      const started = performance.now();
      try {
        const preview = known ?? (await this.api.preview(jobId, prompt, AbortSignal.timeout(8000)));
        if (jobId !== this.jobId) break;
        this.glimpses.set(key, preview);
        if (this.glimpses.size > GLIMPSES) this.glimpses.delete([...this.glimpses.keys()][0]);
        if (this.over) {
          this.hovered = { point: wish, preview };
          this.#changed();
        }
      } catch (error) {
        this.hovered = null;
        if (error instanceof NetworkError || (error instanceof ApiError && error.status !== 422)) {
          const wait = error instanceof ApiError ? (error.retryAfterS ?? 2) : 2;
          await new Promise((resolve) => setTimeout(resolve, Math.min(wait, 30) * 1000));
        }
      }
      const rest = HOVER_EVERY_MS - (performance.now() - started);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
    this.hovering = false;
  }

  /** Whether the pointer is over the picture. */
  over = false;

  enter() {
    this.over = true;
  }

  leave() {
    this.over = false;
    this.hoverWish = null;
    if (this.hovered) {
      this.hovered = null;
      this.#changed();
    }
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
