/**
 * Does what a sentence asks for, with the same means that the buttons have. Touches no element.
 *
 * @typedef {import('./words/intent.js').Intent} Intent
 * @typedef {import('./words/intent.js').Work} Work
 * @typedef {import('./words/target.js').Target} Target
 * @typedef {import('./words/resolve.js').Found} Found
 *
 * @typedef {Object} Reply
 * @property {string} text
 * @property {'done' | 'ask' | 'problem'} kind
 * @property {string} [yes]  text of the button that confirms
 */

import { middleOf, placeText } from './words/places.js';
import { readIntent } from './words/intent.js';
import { doingText, HELP, unclearText, wouldText, yesText } from './words/replies.js';
import { listed, resolve } from './words/resolve.js';

/** @type {Record<Work, import('./types.js').Output[]>} only what is asked for is computed */
const OUTPUTS = { remove: ['full_inpainted'], extract: ['cropped'], both: ['cropped', 'full_inpainted'] };
const MASK_WITHIN_MS = 20_000;

/** @param {string} text @returns {Reply} */
const done = (text) => ({ text, kind: 'done' });
/** @param {string} text @returns {Reply} */
const problem = (text) => ({ text, kind: 'problem' });

export class Commands {
  /** @type {{yes: () => Reply | Promise<Reply>, no: () => Reply} | null} */
  #question = null;

  /**
   * @param {import('./session.js').Session} session
   * @param {import('./objects.js').Selection} selection
   * @param {import('./previews.js').Previews} previews
   * @param {import('./results.js').Results} results
   * @param {(id: number) => void} askName opens what asks for an object's name
   */
  constructor(session, selection, previews, results, askName) {
    this.session = session;
    this.selection = selection;
    this.previews = previews;
    this.results = results;
    this.askName = askName;
  }

  /**
   * @param {string} sentence
   * @returns {Promise<Reply>} what is being done, or why nothing is
   */
  async run(sentence) {
    const intent = this.#read(sentence);
    const question = this.#question;
    this.#question = null;
    if (intent.action === 'yes') return question ? question.yes() : problem('There is nothing to confirm.');
    if (intent.action === 'no') return question ? question.no() : done('Nothing was done.');
    return this.#do(intent);
  }

  /** @param {string} sentence @returns {string} what Enter would do, where that is clear; else '' */
  foresee(sentence) {
    const intent = this.#read(sentence);
    if (intent.action !== 'remove' && intent.action !== 'extract' && intent.action !== 'both') return '';
    const { ids, problem: doubt, allExcepted, how } = this.#find(intent.target);
    return ids.length && !doubt && !allExcepted ? wouldText(intent.action, this.#titles(ids), how) : '';
  }

  /**
   * @param {readonly string[]} sentences what may have been said, the likeliest first
   * @returns {string} the first that can be acted on; else the likeliest
   */
  likeliest(sentences) {
    const clear = sentences.find((sentence) => {
      const intent = this.#read(sentence);
      if (intent.action === 'unclear') return false;
      if (!('target' in intent) || !intent.target) return true;
      const { ids, problem: doubt, look } = this.#find(intent.target);
      return look !== null || (ids.length > 0 && !doubt);
    });
    return clear ?? sentences[0] ?? '';
  }

  /**
   * @param {Work} action
   * @param {readonly number[]} ids
   * @param {string} [how]
   * @param {boolean} [too]
   * @returns {Reply}
   */
  work(action, ids, how, too = false) {
    const { session, selection, results } = this;
    const lost = selection.objects.find((object) => ids.includes(object.id) && this.previews.foundNothing(object));
    if (lost) return problem(`Nothing was found for ${this.#titles([lost.id])}. Tap nearer to its middle, or draw a box around it.`);
    const waits = selection.objects.some((object) => ids.includes(object.id) && this.previews.isUnfinished(object));
    if (waits) return problem('The outline is still being looked for. Say it again in a moment.');
    const again = session.screen === 'results' && sameIds(ids, session.sent.map(({ id }) => id));
    /** @type {(output: import('./types.js').Output) => boolean} */
    const has = (output) => again && results.has(output === 'cropped' ? 'cutouts' : 'removed');
    const view = action === 'extract' ? 'cutouts' : 'removed';
    if (OUTPUTS[action].every(has)) {
      results.look(view);
      return done(`That is done already: ${listed(this.#titles(ids))}.`);
    }
    const outputs = again || too ? OUTPUTS.both.filter((output) => OUTPUTS[action].includes(output) || has(output)) : OUTPUTS[action];
    session.run(outputs, ids, view);
    return done(doingText(action, this.#titles(ids), how));
  }

  /** @param {string} sentence @returns {Intent} */
  #read(sentence) {
    return readIntent(sentence, this.selection.named.map(({ name }) => name).filter(Boolean));
  }

  /** @param {Intent} intent @returns {Reply | Promise<Reply>} */
  #do(intent) {
    switch (intent.action) {
      case 'remove':
      case 'extract':
      case 'both':
        return this.#work(intent);
      case 'drop':
        return this.#onOne(intent.target, (ids) => this.#drop(ids));
      case 'select':
        return this.#select(intent.target);
      case 'rename':
        return this.#onOne(intent.target, (ids) => this.#rename(ids, intent.name));
      case 'download':
        return this.#download(intent);
      case 'undo':
      case 'redo':
        return this.#step(intent.action, intent.times);
      case 'unclear':
        return problem(unclearText(intent.why));
      default:
        return this.#plain(/** @type {string} */ (intent.action));
    }
  }

  /** @param {string} action @returns {Reply} */
  #plain(action) {
    const { session, selection } = this;
    if (action === 'help') return done(HELP);
    if (action === 'newPicture') {
      return this.#ask('Start over? This picture and its results are deleted on the server.', 'Yes, start over', () => {
        session.startOver();
        return done('');
      });
    }
    this.#toEdit();
    if (action === 'another') {
      selection.startAnother();
      return done('Tap the next object.');
    }
    if (action === 'change') return done('Here are the objects again.');
    if (!selection.objects.length) return done('Nothing is marked.');
    selection.remove(...selection.objects.map(({ id }) => id));
    return done('Nothing is marked any more. “Undo” brings the objects back.');
  }

  /** @param {import('./words/intent.js').WorkIntent} intent @returns {Reply | Promise<Reply>} */
  #work({ action, target, too }) {
    const found = this.#find(target);
    const { ids, how } = found;
    if (found.look) return this.#lookThere(found.look, action);
    if (found.allExcepted) {
      if (action !== 'remove') return problem('Nothing else is marked.');
      const titles = listed(this.#titles(ids));
      return this.#ask(`Nothing but ${titles} is marked. Cut out ${titles} instead?`, yesText('extract'), () => this.work('extract', ids));
    }
    if (!ids.length) return problem(found.problem);
    if (!found.problem) return this.work(action, ids, how, too);
    if (this.session.screen === 'edit') this.selection.select(ids[0]);
    return this.#ask(found.problem, yesText(action), () => this.work(action, ids, how, too));
  }

  /**
   * Nothing is marked where the words say: taps there, and asks whether that is it.
   * @param {NonNullable<Found['look']>} look
   * @param {Work | null} action
   * @returns {Promise<Reply>}
   */
  async #lookThere({ place, noun }, action) {
    const { session, selection, previews } = this;
    this.#toEdit();
    selection.startAnother();
    selection.addPoint(middleOf(place, session.width, session.height), 1);
    const { current } = selection;
    const what = noun ? `the ${noun}` : 'it';
    if (!current) return problem(`Tap ${what} first, then say it again.`);
    const gone = () => !selection.objects.some(({ id }) => id === current.id);
    await this.#until(() => gone() || previews.maskOf(current) !== null || previews.failureOf(current) !== null);
    if (gone()) return done('Nothing was done.');
    if (!previews.maskOf(current)) {
      selection.remove(current.id);
      return problem(`Nothing was found ${placeText(place)}. Tap ${what} yourself, then say it again.`);
    }
    if (!action) return done(`Tapped ${placeText(place)}: words are not recognised in a picture, so please check the outline.`);
    const reply = this.#ask(
      `Nothing was marked ${placeText(place)}, so a tap was put there. Does the outline show ${noun ? what : 'what you mean'}?`,
      yesText(action),
      () => (gone() ? problem('That object is not marked any more.') : this.work(action, [current.id])),
    );
    const question = this.#question;
    if (question) {
      question.no = () => {
        selection.remove(current.id);
        return done(`Then tap ${what} in the picture, and say it again.`);
      };
    }
    return reply;
  }

  /** @param {() => boolean} reached @returns {Promise<void>} when it is, or when it takes too long */
  #until(reached) {
    return new Promise((resolve) => {
      const late = setTimeout(() => end(), MASK_WITHIN_MS);
      const look = () => reached() && end();
      const end = () => {
        clearTimeout(late);
        for (const source of [this.previews, this.selection]) source.removeEventListener('change', look);
        resolve();
      };
      for (const source of [this.previews, this.selection]) source.addEventListener('change', look);
      look();
    });
  }

  /**
   * @param {string} text
   * @param {string} yes
   * @param {() => Reply | Promise<Reply>} act
   * @returns {Reply}
   */
  #ask(text, yes, act) {
    this.#question = { yes: act, no: () => done('Nothing was done.') };
    return { text, kind: 'ask', yes };
  }

  /**
   * @param {Target} target
   * @param {(ids: number[]) => Reply} act
   * @returns {Reply}
   */
  #onOne(target, act) {
    const { ids, problem: doubt, allExcepted, look } = this.#find(target);
    if (look) return problem(`Nothing is marked ${placeText(look.place)}. Tap it first, then say it again.`);
    if (!ids.length || allExcepted) return problem(doubt || 'No other object is marked.');
    return doubt ? this.#ask(doubt, 'Yes', () => act(ids)) : act(ids);
  }

  /** @param {number[]} ids @returns {Reply} */
  #drop(ids) {
    const titles = listed(this.#titles(ids));
    this.#toEdit();
    this.selection.remove(...ids);
    return done(`${titles} ${ids.length > 1 ? 'are' : 'is'} not marked any more.`);
  }

  /** @param {Target} target @returns {Reply | Promise<Reply>} */
  #select(target) {
    const { look } = this.#find(target);
    if (look) return this.#lookThere(look, null);
    return this.#onOne(target, (ids) => {
      if (ids.length > 1) return problem('One object at a time can be worked on. Say which one.');
      this.#toEdit();
      this.selection.select(ids[0]);
      return done(`${this.#titles(ids)} is the current object: taps refine it.`);
    });
  }

  #toEdit() {
    if (this.session.screen === 'results') this.session.edit();
  }

  /** @param {number[]} ids @param {string} name @returns {Reply} */
  #rename(ids, name) {
    if (ids.length > 1) return problem('One name for several objects would tell nothing apart. Name them one by one.');
    const [before] = this.#titles(ids);
    if (!name) {
      this.#toEdit();
      this.askName(ids[0]);
      return done('Type its name.');
    }
    this.selection.rename(ids[0], name);
    return done(`${before} is called ${this.#titles(ids)} now.`);
  }

  /** @param {'undo' | 'redo'} action @param {number} times @returns {Reply} */
  #step(action, times) {
    const { selection, session } = this;
    if (session.screen === 'results') {
      session.edit();
      return done('Here are the objects again. The results stay until something else is done.');
    }
    let steps = 0;
    for (; steps < times && (action === 'undo' ? selection.canUndo : selection.canRedo); steps += 1) selection[action]();
    if (!steps) return problem(`There is nothing to ${action}.`);
    return done(action === 'undo' ? 'Undone.' : 'Done again.');
  }

  /** @param {import('./words/intent.js').DownloadIntent} intent @returns {Reply} */
  #download({ what, target }) {
    const { results, session } = this;
    if (session.screen !== 'results') return problem('There is nothing to download yet. Remove or cut out something first.');
    if (what === 'shown') results.saveShown();
    else if (what === 'all') results.saveAll();
    else if (what === 'picture') return results.savePicture() ? done('Downloading the picture.') : problem('Nothing was removed yet. Say “remove it” first.');
    else if (target) {
      const { ids, problem: doubt } = this.#find(target);
      if (!ids.length || doubt) return problem(doubt || 'No other object is marked.');
      const missing = ids.filter((id) => !results.saveCutout(id));
      if (missing.length) return problem(`${listed(this.#titles(missing))} ${missing.length > 1 ? 'were' : 'was'} not cut out. Say “cut out …” first.`);
    }
    return done('Downloading.');
  }

  /** @param {Target} target @returns {Found} */
  #find(target) {
    const { selection, previews, session } = this;
    const { named } = selection;
    const objects = selection.objects.map((object, i) => ({
      ...named[i],
      colour: object.colour,
      at: this.#middleOf(object),
      area: previews.maskOf(object)?.area ?? 0,
    }));
    const spokenOf = session.screen === 'results' ? session.sent.map(({ id }) => id) : [];
    return resolve(target, { objects, currentId: selection.current?.id ?? null, spokenOf });
  }

  /**
   * Half where the user said it is, half where the outline is: outlines may overlap or be far too large.
   * @param {import('./types.js').SelectedObject} object
   * @returns {[number, number]} shares of the picture
   */
  #middleOf(object) {
    const taps = object.points.filter((_, i) => object.labels[i] === 1);
    const boxes = [this.previews.maskOf(object)?.bbox, object.box].filter((box) => box !== null && box !== undefined);
    const places = boxes.map(([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2]);
    const mean = (/** @type {number[][]} */ some, /** @type {number} */ axis) => some.reduce((sum, place) => sum + place[axis], 0) / some.length;
    const halves = [taps, places].filter((some) => some.length);
    if (!halves.length) return [0.5, 0.5];
    const [x, y] = [0, 1].map((axis) => mean(halves.map((some) => [mean(some, 0), mean(some, 1)]), axis));
    return [x / this.session.width, y / this.session.height];
  }

  /** @param {readonly number[]} ids @returns {string[]} */
  #titles(ids) {
    return this.selection.named.filter(({ id }) => ids.includes(id)).map(({ title }) => title);
  }
}

/** @param {readonly number[]} a @param {readonly number[]} b */
const sameIds = (a, b) => a.length === b.length && a.every((id) => b.includes(id));
