/**
 * The HTTP calls of the server, one function each. Knows no page.
 *
 * Failures are of two kinds only: `ApiError` (the server answered no) and `NetworkError` (it did not answer).
 *
 * @typedef {import('./types.js').Problem} Problem
 * @typedef {import('./types.js').Prompt} Prompt
 * @typedef {import('./types.js').JobStatus} JobStatus
 */

import { readEvents } from './event_stream.js';

/** The server answered with an error. `message` is its own words. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status
   * @param {Problem} problem
   * @param {number | null} retryAfterS seconds after which to try again, where the server said so
   */
  constructor(status, problem, retryAfterS = null) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.name = 'ApiError';
    this.status = status;
    this.problem = problem;
    this.retryAfterS = retryAfterS;
  }
}

/** The server could not be reached, the connection broke, or what answered was only a proxy before it. */
export class NetworkError extends Error {
  constructor() {
    super('The server cannot be reached.');
    this.name = 'NetworkError';
  }
}

/**
 * @param {string | null} header seconds or an HTTP date
 * @returns {number | null}
 */
function retryAfter(header) {
  if (!header) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, (date - Date.now()) / 1000);
}

/**
 * @param {string} text
 * @returns {any} the document, or null where the answer was something else (a proxy's page)
 */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * While the server starts, or is away, the proxy before it answers with a page or a line of its own.
 * @param {number} status
 * @param {Problem | null} document what came with it, where that was JSON
 */
const isFromProxy = (status, document) => !document && [404, 502, 503, 504].includes(status);

/** @returns {string} a key under which a repeated request is the same request */
export function newIdempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Api {
  /**
   * @param {URL} base address of the server; the page is served at `app/` below it
   * @param {import('./api_key.js').ApiKey} key
   */
  constructor(base, key) {
    this.base = base;
    this.key = key;
  }

  /**
   * Repeats a call with another key as long as the server refuses the one it carried and the user gives one.
   * @template T
   * @param {() => Promise<T>} call
   * @returns {Promise<T>}
   */
  async #admitted(call) {
    for (;;) {
      const key = this.key.value;
      try {
        return await call();
      } catch (error) {
        const refused = error instanceof ApiError && error.status === 401;
        if (!refused || !(await this.key.renew(key))) throw error;
      }
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit & {headers?: Record<string, string>}} [init]
   * @returns {Promise<Response>} a successful answer
   */
  #call(path, init = {}) {
    return this.#admitted(() => this.#fetch(path, init));
  }

  /**
   * @param {string} path
   * @param {RequestInit & {headers?: Record<string, string>}} init
   */
  async #fetch(path, init) {
    const headers = { ...init.headers, ...this.key.headers };
    let response;
    try {
      response = await fetch(new URL(path, this.base), { cache: 'no-store', ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new NetworkError();
    }
    if (response.ok) return response;
    const problem = parseJson(await response.text().catch(() => ''));
    if (isFromProxy(response.status, problem)) throw new NetworkError();
    throw new ApiError(response.status, problem ?? {}, retryAfter(response.headers.get('Retry-After')));
  }

  /**
   * @param {string} path
   * @param {unknown} body
   * @param {AbortSignal} [signal]
   * @param {Record<string, string>} [headers]
   */
  async #post(path, body, signal, headers = {}) {
    const response = await this.#call(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal,
    });
    return response.json();
  }

  /**
   * Sends the picture. Uses XMLHttpRequest: fetch does not report how much has been sent.
   * @param {File | Blob} file
   * @param {string} name
   * @param {string} idempotencyKey
   * @param {(fraction: number) => void} onProgress
   * @param {AbortSignal} signal
   * @returns {Promise<import('./types.js').UploadAnswer>}
   */
  async upload(file, name, idempotencyKey, onProgress, signal) {
    await this.#askForKeyFirst();
    return this.#admitted(() => this.#send(file, name, idempotencyKey, onProgress, signal));
  }

  /** A server that refuses an upload may close the connection before the answer is read, so it is asked before. */
  async #askForKeyFirst() {
    if (this.key.value) return;
    const { needsKey } = await this.health().catch(() => ({ needsKey: false }));
    if (needsKey && !(await this.key.renew(null))) throw new ApiError(401, {});
  }

  /**
   * @param {File | Blob} file
   * @param {string} name
   * @param {string} idempotencyKey
   * @param {(fraction: number) => void} onProgress
   * @param {AbortSignal} signal
   * @returns {Promise<import('./types.js').UploadAnswer>}
   */
  #send(file, name, idempotencyKey, onProgress, signal) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('POST', new URL('upload', this.base));
      const headers = { 'Idempotency-Key': idempotencyKey, ...this.key.headers };
      for (const [header, value] of Object.entries(headers)) request.setRequestHeader(header, value);
      request.upload.onprogress = (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      };
      request.onload = () => {
        const answer = parseJson(request.responseText);
        if (request.status >= 200 && request.status < 300 && answer) resolve(answer);
        else if (isFromProxy(request.status, answer)) reject(new NetworkError());
        else reject(new ApiError(request.status, answer ?? {}, retryAfter(request.getResponseHeader('Retry-After'))));
      };
      request.onerror = () => reject(new NetworkError());
      request.onabort = () => reject(new DOMException('Cancelled', 'AbortError'));
      signal.addEventListener('abort', () => request.abort(), { once: true });
      const form = new FormData();
      form.append('file', file, name);
      request.send(form);
    });
  }

  /**
   * @param {string} jobId
   * @param {Prompt} prompt
   * @param {AbortSignal} signal
   * @returns {Promise<import('./types.js').Preview>}
   */
  preview(jobId, prompt, signal) {
    return this.#post('preview', { job_id: jobId, ...wirePrompt(prompt) }, signal);
  }

  /**
   * @param {string} jobId
   * @param {object[]} objects as `wirePrompt` makes them, or with a mask
   * @param {import('./types.js').Output[]} outputs
   * @param {string} idempotencyKey
   */
  segment(jobId, objects, outputs, idempotencyKey) {
    const path = `segment?job_id=${encodeURIComponent(jobId)}`;
    return this.#post(path, { objects, outputs }, undefined, { 'Idempotency-Key': idempotencyKey });
  }

  /**
   * @param {string} jobId
   * @param {AbortSignal} [signal]
   * @returns {Promise<JobStatus>}
   */
  async status(jobId, signal) {
    return (await this.#call(`status/${encodeURIComponent(jobId)}`, { signal })).json();
  }

  /**
   * @param {string} jobId
   * @param {AbortSignal} signal
   * @returns {Promise<AsyncGenerator<import('./event_stream.js').ServerEvent>>}
   */
  async events(jobId, signal) {
    const headers = { Accept: 'text/event-stream' };
    const response = await this.#call(`events/${encodeURIComponent(jobId)}`, { headers, signal });
    if (!response.body) throw new NetworkError();
    return readEvents(response.body);
  }

  /** @param {string} jobId */
  async cleanup(jobId) {
    await this.#call(`cleanup/${encodeURIComponent(jobId)}`, { method: 'DELETE' });
  }

  /**
   * Health, also while the server is not ready (503 with the same document). Who has no key where one is needed
   * is told the verdict alone.
   * @returns {Promise<{ready: boolean, needsKey: boolean, health: any}>}
   */
  async health() {
    /** @type {any} */
    let health;
    let ready = true;
    try {
      health = parseJson(await (await this.#call('health')).text()) ?? {};
    } catch (error) {
      if (!(error instanceof ApiError && error.status >= 500)) throw error;
      ready = false;
      health = error.problem;
    }
    return { ready, needsKey: 'status' in health && !('checkpoints' in health), health };
  }

  /**
   * A file of the job. Revalidated with the server: a job segmented again writes the same names anew.
   * @param {string} jobId
   * @param {string} file
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob>}
   */
  async file(jobId, file, signal) {
    const path = `download/${encodeURIComponent(jobId)}/${encodeURIComponent(file)}`;
    return (await this.#call(path, { cache: 'no-cache', signal })).blob();
  }
}

/**
 * @param {Prompt} prompt
 * @returns {{points?: number[][], labels?: number[], box?: number[]}} only what was said
 */
export function wirePrompt({ points, labels, box }) {
  return { ...(points.length ? { points, labels } : {}), ...(box ? { box } : {}) };
}
