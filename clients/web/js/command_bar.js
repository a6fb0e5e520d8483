/** The line where one types, or says, what is to be done; and what is answered. */

import { byId, make } from './dom.js';
import { Speech } from './speech.js';
import { isTyping } from './toolbar.js';

const MAX_REMEMBERED = 30;

export class CommandBar {
  /** @type {string[]} what was asked before, the newest last */
  #before = [];
  #at = 0;

  /**
   * @param {import('./commands.js').Commands} commands
   * @param {import('./objects.js').Selection} selection
   */
  constructor(commands, selection) {
    this.commands = commands;
    this.selection = selection;
    this.form = byId('command');
    this.field = byId('command-text', HTMLInputElement);
    this.reading = byId('reading');
    this.foreseen = byId('foreseen');
    this.microphone = byId('speak', HTMLButtonElement);
    this.speech = new Speech();
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.run(this.field.value);
    });
    this.field.addEventListener('input', () => this.#onInput());
    this.field.addEventListener('keydown', (event) => this.#onKey(event));
    addEventListener('keydown', (event) => this.#onShortcut(event));
    byId('stage').addEventListener('pointerdown', () => this.reading.dataset.kind !== 'ask' && this.clear());
    this.#wireSpeech();
  }

  /** @param {string} sentence */
  async run(sentence) {
    if (sentence.trim()) {
      this.#before = [...this.#before.filter((said) => said !== sentence), sentence].slice(-MAX_REMEMBERED);
    }
    this.#at = this.#before.length;
    this.field.value = '';
    this.#foresee('');
    if (matchMedia('(pointer: coarse)').matches) this.field.blur(); // Its keyboard would hide the answer.
    this.show(await this.commands.run(sentence));
  }

  /** @param {import('./commands.js').Reply} reply */
  show({ text, kind, yes }) {
    this.reading.dataset.kind = kind;
    const answers = yes ? [this.#answer(yes, 'yes', 'primary'), this.#answer('No', 'no', '')] : [];
    this.reading.replaceChildren(
      ...(text ? [make('p', {}, text)] : []),
      ...(answers.length ? [make('div', { class: 'reading-answers' }, ...answers)] : []),
    );
  }

  clear() {
    if (!this.speech.listening) this.reading.replaceChildren();
  }

  /** @param {string} screen */
  render(screen) {
    const { objects } = this.selection;
    const example = screen === 'results' ? 'download all' : !objects.length ? 'cut out the left one' : objects.length === 1 ? 'remove it' : 'remove the left one';
    const placeholder = `Try “${example}”`;
    if (this.field.placeholder !== placeholder) this.field.placeholder = placeholder;
  }

  /** @param {string} label @param {'yes' | 'no'} word @param {string} kind */
  #answer(label, word, kind) {
    const run = async () => {
      this.show(await this.commands.run(word));
      if (document.body.dataset.screen === 'edit') this.field.focus({ preventScroll: true });
    };
    return make('button', { type: 'button', class: `button small ${kind}`, on: { click: run } }, label);
  }

  #onInput() {
    this.clear();
    this.#foresee(this.field.value);
  }

  /** @param {string} sentence */
  #foresee(sentence) {
    const text = sentence.trim() ? this.commands.foresee(sentence) : '';
    this.foreseen.textContent = text;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      this.#at = Math.max(0, Math.min(this.#before.length, this.#at + (event.key === 'ArrowUp' ? -1 : 1)));
      this.field.value = this.#before[this.#at] ?? '';
      this.#onInput();
    } else if (event.key === 'Escape') {
      this.speech.cancel();
      this.field.value = '';
      this.#foresee('');
      this.reading.replaceChildren();
      if (document.body.dataset.screen === 'edit') byId('stage').focus({ preventScroll: true });
      else this.field.blur();
    } else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #onShortcut(event) {
    const { screen = '' } = document.body.dataset;
    const busy = isTyping(event) || document.querySelector('dialog[open]') || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key !== '/' || busy || !['edit', 'results'].includes(screen)) return;
    event.preventDefault();
    this.field.focus({ preventScroll: true });
    this.field.select();
  }

  #wireSpeech() {
    const { speech, microphone } = this;
    microphone.hidden = !Speech.offered;
    microphone.addEventListener('click', () => (speech.listening ? speech.stop() : speech.start(document.documentElement.lang)));
    speech.addEventListener('state', () => {
      microphone.setAttribute('aria-pressed', String(speech.listening));
      this.form.toggleAttribute('data-listening', speech.listening);
      if (speech.listening) {
        this.field.value = '';
        this.show({ kind: 'done', text: 'Listening… Your browser may send what you say to its maker to be recognised.' });
      } else if (this.reading.textContent?.startsWith('Listening')) this.reading.replaceChildren();
    });
    speech.addEventListener('interim', (event) => {
      this.field.value = /** @type {CustomEvent} */ (event).detail.text;
      this.#foresee(this.field.value);
    });
    speech.addEventListener('heard', (event) => this.#onHeard(/** @type {CustomEvent} */ (event).detail.texts));
    speech.addEventListener('problem', (event) => {
      this.field.value = '';
      this.show({ kind: 'problem', text: /** @type {CustomEvent} */ (event).detail.text });
    });
  }

  /** @param {string[]} texts what it may have been, the likeliest first */
  async #onHeard(texts) {
    const sentence = this.commands.likeliest(texts);
    await this.run(sentence);
    if (sentence && this.reading.dataset.kind === 'problem') this.reading.prepend(make('p', { class: 'heard' }, `Heard: “${sentence}”`));
  }
}
