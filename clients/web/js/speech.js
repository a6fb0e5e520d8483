/**
 * Speech turned into text by the browser, where it offers that. The browser may send the sound to its maker's servers.
 *
 * Events: `state` (see `listening`); `interim` {text}; `heard` {texts}: the likeliest first; `problem` {text}.
 */

/** @type {Record<string, string>} why nothing was heard, by the API's own words */
const PROBLEMS = {
  'not-allowed': 'The microphone is not allowed for this page. Allow it beside the address, or type instead.',
  'service-not-allowed': 'This browser does not allow speech recognition here. Type instead.',
  'audio-capture': 'No microphone was found. Plug one in, or type instead.',
  network: 'This browser recognises speech on its maker’s servers, and they cannot be reached. Type instead.',
  'no-speech': 'Nothing was heard. Press the microphone and speak, or type instead.',
  'language-not-supported': 'This browser does not recognise English speech. Type instead.',
};

export class Speech extends EventTarget {
  listening = false;
  /** @type {any} */
  #recognition = null;

  /** @returns {boolean} whether this browser offers recognition at all */
  static get offered() {
    return Boolean(constructorOf());
  }

  /** @param {string} language as in <html lang> */
  start(language) {
    const Recognition = constructorOf();
    if (!Recognition || this.#recognition) return;
    const recognition = new Recognition();
    Object.assign(recognition, { lang: language, interimResults: true, continuous: false, maxAlternatives: 4 });
    recognition.onresult = (/** @type {any} */ event) => this.#onResult(event);
    recognition.onerror = (/** @type {any} */ event) => this.#onError(event.error);
    recognition.onend = () => this.#end();
    this.#recognition = recognition;
    try {
      recognition.start();
      this.#set(true);
    } catch {
      this.#onError('service-not-allowed');
      this.#end();
    }
  }

  /** What was said so far is still read. */
  stop() {
    this.#recognition?.stop();
  }

  /** What was said is dropped. */
  cancel() {
    this.#recognition?.abort();
  }

  /** @param {any} event */
  #onResult(event) {
    const last = event.results[event.results.length - 1];
    const texts = Array.from(last, (/** @type {any} */ alternative) => String(alternative.transcript).trim());
    if (last.isFinal) this.#emit('heard', { texts: texts.filter(Boolean) });
    else this.#emit('interim', { text: texts[0] ?? '' });
  }

  /** @param {string} error */
  #onError(error) {
    if (error !== 'aborted') this.#emit('problem', { text: PROBLEMS[error] ?? 'Speech could not be recognised. Type instead.' });
  }

  #end() {
    this.#recognition = null;
    this.#set(false);
  }

  /** @param {boolean} listening */
  #set(listening) {
    if (this.listening === listening) return;
    this.listening = listening;
    this.#emit('state', {});
  }

  /** @param {string} name @param {object} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function constructorOf() {
  const known = /** @type {any} */ (globalThis);
  return known.SpeechRecognition ?? known.webkitSpeechRecognition ?? null;
}
