/** Brings the parts of the page together: who listens to whom. */

import { Api, NetworkError } from './api.js';
import { ApiKey } from './api_key.js';
import { Brush } from './brush.js';
import { CommandBar } from './command_bar.js';
import { Commands } from './commands.js';
import { byId, make } from './dom.js';
import { hintText } from './hints.js';
import { watchIntake } from './intake.js';
import { askForKey } from './key_dialog.js';
import { jobInAddress, recallLast } from './memory.js';
import { pixelsOf } from './mask.js';
import { untilBack, watchModels } from './models.js';
import { hideNotice, say, showNotice } from './notices.js';
import { ObjectList } from './object_list.js';
import { ObjectCard } from './object_card.js';
import { Selection } from './objects.js';
import { colourOf } from './palette.js';
import { Previews } from './previews.js';
import { explain } from './problems.js';
import { Results } from './results.js';
import { Session } from './session.js';
import { rememberKind } from './smaller_copy.js';
import { Stage } from './stage/stage.js';
import { Toolbar } from './toolbar.js';

const key = new ApiKey(askForKey);
const api = new Api(new URL('../', document.baseURI), key);
const selection = new Selection();
const previews = new Previews(api);
const session = new Session(api, selection, previews);
const picture = byId('picture', HTMLImageElement);
const canvases = ['overlay', 'under-brush'].map((id) => byId(id, HTMLCanvasElement));
const stage = new Stage(byId('stage'), picture, canvases[0], canvases[1], byId('brush-cursor'));
const brush = new Brush(stage);
const toolbar = new Toolbar(selection, previews, stage, brush);
const list = new ObjectList(selection, previews, session);
const results = new Results(api, (error) => tell(explain(error)));
const card = new ObjectCard(selection, previews, list);
const commands = new Commands(session, selection, previews, results, (id) => card.open(id));
const bar = new CommandBar(commands, selection);
const mayHover = matchMedia('(hover: hover) and (pointer: fine)');

/**
 * @param {import('./problems.js').Explanation} explanation
 * @param {(() => void) | null} [retry]
 * @param {string} [label] of what `retry` does
 */
function tell({ text, advice, gone }, retry, label) {
  if (gone) showNotice(text, advice, { label: 'Open a picture', run: () => session.startOver() });
  else showNotice(text, advice, retry ? { label: label || 'Try again', run: retry } : undefined);
}

function render() {
  const { objects, current } = selection;
  stage.set({
    objects: objects.filter(({ id }) => session.screen !== 'processing' || session.sent.some((sent) => sent.id === id)).map((object) => ({
      ...object,
      mask: maskPixels(previews.maskOf(object) ?? previews.maskBefore(object)),
      colour: colourOf(object.colour),
      current: object === current,
      pending: previews.isPending(object),
    })),
    hover: !current && session.screen === 'edit' ? maskPixels(previews.hovered?.preview) : null,
    hoverColour: colourOf(selection.nextColour),
    busy: session.screen === 'processing',
  });
  list.render();
  toolbar.render();
  bar.render(session.screen);
  const hint = hintText(selection, previews, mayHover.matches, brush.tool);
  if (byId('hint').textContent !== hint) byId('hint').textContent = hint;
  if (session.screen === 'edit') say(hint);
}

/** @param {import('./types.js').Candidate | null | undefined} candidate */
const maskPixels = (candidate) => (candidate ? pixelsOf(candidate) : null);

/** @param {string} name @param {(detail: any) => void} listener @param {EventTarget} source */
function on(source, name, listener) {
  source.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail));
}

on(selection, 'change', () => {
  hideNotice();
  previews.want(selection.objects);
  results.rename(session.sent);
  render();
});
on(previews, 'change', render);
on(previews, 'failure', ({ error, object }) => {
  if (previews.foundNothing(object)) return;
  if (!(error instanceof NetworkError)) return tell(explain(error));
  tell({ ...explain(error), advice: 'This page keeps trying and goes on by itself. Nothing you selected is lost.' }, askAgain);
  untilBack(api).then(askAgain);
});

on(stage, 'tap', ({ point, label }) => {
  previews.leave();
  if (!selection.addPoint(point, label)) byId('hint').textContent = 'Tap the object first, then what to leave out.';
});
on(stage, 'box', ({ box }) => selection.addBox(box));
on(stage, 'stroke', ({ stroke }) => {
  if (!selection.addStroke(stroke)) byId('hint').textContent = 'There is nothing to erase yet.';
});
on(toolbar, 'tool', () => {
  previews.leave();
  render();
});
on(stage, 'cross', ({ point }) => hoverAt(point));
on(stage, 'hover', ({ point }) => mayHover.matches && hoverAt(point));
on(stage, 'leave', () => previews.leave());

/** @param {import('./types.js').Point} point */
function hoverAt(point) {
  if (selection.current || session.screen !== 'edit' || brush.tool) return;
  previews.enter();
  previews.hover(point);
}

on(session, 'screen', () => {
  const { screen } = session;
  const before = document.body.dataset.screen;
  document.body.dataset.screen = screen;
  stage.enabled = screen === 'edit';
  bar.clear();
  if (screen !== 'empty') hideNotice();
  else byId('continue').hidden = true;
  if (screen === 'edit') byId('stage').focus({ preventScroll: true });
  if (screen === 'empty' && before !== 'start') byId('choose').focus({ preventScroll: true });
  if (screen === 'results') say('Done. The results can be downloaded.');
  if (screen === 'results') byId('results-title').focus({ preventScroll: true });
  render();
});
on(session, 'picture', ({ url, width, height, isNew }) => {
  picture.alt = `The picture ${session.name}`;
  stage.show(url, width, height, isNew);
  brush.take(brush.tool);
});
on(session, 'progress', ({ title, text, fraction }) => {
  const heading = byId('progress-title');
  const stage = text.replace(/, \d+ %$/, '');
  say(heading.textContent === title ? stage : `${title}. ${stage}`);
  heading.textContent = title;
  byId('progress-text').textContent = text;
  const bar = byId('progress');
  bar.style.setProperty('--done', String(fraction));
  bar.setAttribute('aria-valuenow', String(Math.round(fraction * 100)));
});
on(session, 'problem', ({ explanation, retry, label }) => tell(explanation, retry, label));
on(session, 'instead', ({ file, offer }) => {
  byId('instead').hidden = !offer;
  if (!offer) return;
  byId('instead-note').textContent = offer.note;
  const button = make('button', { type: 'button', class: 'button', on: { click: send } }, offer.label);
  byId('instead-button').replaceChildren(button);
  function send() {
    rememberKind(offer.kind);
    session.open(file, offer.kind);
  }
});
on(session, 'forgetful', () => {
  // After the change that was too much has taken the last notice away.
  queueMicrotask(() => showNotice('This browser keeps nothing more.', 'Go on working, but a reload will not bring back your last changes.'));
});
on(session, 'results', async ({ status, signal }) => {
  try {
    await results.show(status, session.originalUrl, session.name, session.view, session.sent, signal);
    session.showResults();
  } catch (error) {
    if (signal.aborted) return; // The user is elsewhere by now.
    session.edit();
    tell(explain(error));
  }
});

on(results, 'view', () => session.setView(results.view));
for (const more of ['cut-out-too', 'remove-too']) {
  on(results, more, () => session.run(['cropped', 'full_inpainted'], session.sent.map(({ id }) => id)));
}
for (const source of [list, card]) on(source, 'work', ({ action, id }) => bar.show(commands.work(action, [id])));
byId('remove').addEventListener('click', () => session.run(['full_inpainted']));
byId('cut-out').addEventListener('click', () => session.run(['cropped']));
byId('change-selection').addEventListener('click', () => session.edit());
byId('start-over').addEventListener('click', () => session.startOver());
byId('cancel-upload').addEventListener('click', () => session.startOver());
byId('cancel-run').addEventListener('click', () => session.cancelRun());
byId('help-open').addEventListener('click', () => {
  byId('forget-key').hidden = key.value === null;
  byId('help', HTMLDialogElement).showModal();
});
byId('forget-key').addEventListener('click', () => key.forget());

watchIntake(
  (file) => {
    if (session.screen !== 'edit' || !selection.objects.length) return session.open(file);
    showNotice('Open the new picture?', 'Your selection in this one will be lost.', {
      label: 'Open it',
      run: () => session.open(file),
    });
  },
  (text, advice) => showNotice(text, advice),
);

addEventListener('pointerdown', () => document.body.toggleAttribute('data-by-pointer', true), true);
addEventListener('keydown', () => document.body.toggleAttribute('data-by-pointer', false), true);
document.body.toggleAttribute('data-by-pointer', true);

function askAgain() {
  hideNotice();
  previews.forgetFailures();
  previews.want(selection.objects);
}
addEventListener('online', askAgain);

const jobId = jobInAddress();
if (jobId) session.resume(jobId);
else {
  session.begin();
  offerLast();
}

/** The picture that was left without being deleted, as long as the server still has it. */
async function offerLast() {
  const last = recallLast();
  if (!last) return;
  try {
    await api.status(last.jobId);
  } catch {
    return;
  }
  const button = byId('continue');
  button.replaceChildren(make('span', {}, `Continue with ${last.name}`));
  button.hidden = false;
  button.addEventListener('click', () => session.resume(last.jobId), { once: true });
}
watchModels(api);
key.addEventListener('change', () => watchModels(api).then(() => watchModels(api))); // the one under way had the old key
