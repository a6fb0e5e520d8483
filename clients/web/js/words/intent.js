/**
 * What a typed or spoken sentence asks for. Knows English words, no page, no picture: a noun stays a noun.
 *
 * A sentence is acted on only if all of it was understood; any other is `unclear`, with the reason.
 *
 * @typedef {import('./target.js').Target} Target
 * @typedef {'remove' | 'extract' | 'both'} Work
 * @typedef {'negated' | 'question' | 'two' | 'crop' | 'verb' | 'target' | 'empty'} Reason
 *
 * @typedef {{action: Work, target: Target, too: boolean}} WorkIntent  `too`: besides what was done before
 * @typedef {{action: 'drop' | 'select', target: Target}} MarkIntent
 * @typedef {{action: 'rename', target: Target, name: string}} RenameIntent  `name` as it was written; '' asks for one
 * @typedef {{action: 'undo' | 'redo', times: number}} StepIntent
 * @typedef {{action: 'download', target: Target | null, what: 'shown' | 'all' | 'picture' | 'object'}} DownloadIntent
 * @typedef {{action: 'another' | 'clear' | 'newPicture' | 'change' | 'help' | 'yes' | 'no'}} PlainIntent
 * @typedef {{action: 'unclear', why: Reason}} UnclearIntent
 * @typedef {WorkIntent | MarkIntent | RenameIntent | StepIntent | DownloadIntent | PlainIntent | UnclearIntent} Intent
 */

import { cleanName, isSameName, plain } from './names.js';
import { cardinal } from './numbers.js';
import { readTarget } from './target.js';

const POLITE_BEFORE = /^(?:(?:ok|okay|hey|hi|hello|please|pls|now|then|so|well|u+m+|u+h+|e+r+m?|h+m+|and|just|also|tapcut|alright|kindly|quickly|simply|let's|lets|let us|let me|go ahead and|for me|help me(?: to)?|be so kind (?:as )?(?:to|and)|(?:could|can|would|will) (?:you|we|i)(?: please| kindly| just)?|would you be so kind (?:as )?to|(?:i|we)(?:'d| would) (?:like|love)(?: you)? to|(?:i|we) (?:want|need|wish)(?: you)? to|i wanna|you (?:can|may|should))(?:,? +|$))+/;
const POLITE_AFTER = /(?:,? +(?:please|pls|thanks|thank you|thank you very much|thanks a lot|now|right now|for me|if you can|if possible|if you don't mind|will you|would you|could you|can you|ok|okay|immediately|at once|completely|entirely|altogether|separately|(?:from|out of|in) (?:the|this|my|that) (?:picture|photo|photograph|image|scene|shot|frame|pic|background)))+$/;
const TOO = / (?:too|also|as well)$/;
const QUESTION = /^(?:how|what|what's|why|when|where|who|which|did|does|do you know|is|are|was|were|should|has|have you|am|whose)\b/;
const NEGATION = /\b(?:don't|do not|dont|never|not|won't|will not|shouldn't|should not|mustn't|must not|cannot|can't|no longer|stop|avoid|without)\b/;
const OPPOSED = /(?:,| but| and)? not (?!to\b)/;

const REMOVE = 'remove|erase|delete|get rid of|take away|take out|take off|wipe out|wipe away|wipe off|wipe|clear away|eliminate|rub out|edit out|paint over|paint out|blot out|scrub|zap|inpaint|fill in|lose|ditch|banish|clean up|clean away|obliterate|retouch out|photoshop out|airbrush out';
const EXTRACT = 'extract|cut out|cut|isolate|clip out|clip|crop|separate|single out|pull out|lift out|lift|snip out|snip|mask out|keep only|only keep|just keep|keep just|keep nothing but|leave only|make a cut out of|make cut outs of|make a sticker of|make a sticker from|give me|grab';
const SPLIT = { remove: 'take|wipe|edit|get|rub|paint|blot|clear|photoshop|airbrush|scrub|clean', extract: 'cut|clip|lift|pull|single|snip' };
const AFTER = { remove: 'away|out|off|over|up|away from (?:here|there)|out of (?:here|there)', extract: 'out' };

/** @type {[Work, RegExp][]} verb, target, particle: each matches the whole sentence */
const WORK = [
  ['both', new RegExp(String.raw`^(?:(?:${REMOVE}) and (?:also )?(?:${EXTRACT})|(?:${EXTRACT}) and (?:also )?(?:${REMOVE})) (.+)$`)],
  ['extract', /^(?:remove|erase|delete|take away|get rid of|clear|cut out|cut away|wipe) (?:the |its |his |her |all the )?background(?: (?:of|from|behind|around) (.+))?$/],
  ['extract', /^(?:make|turn) (?:the |its )?background(?: (?:of|behind|around) (.+))? transparent$/],
  ['remove', /^make (.+?) (?:disappear|vanish|go away|invisible|go)$/],
  ['remove', /^(?:i (?:want|need|would like)|i'd like|have|get) (.+) (?:removed|erased|deleted|gone|taken out|taken away|cleared away)$/],
  ['extract', /^(?:i (?:want|need|would like)|i'd like|have|get) (.+) (?:extracted|cut out|isolated|clipped)$/],
  ['extract', new RegExp(String.raw`^(?:${SPLIT.extract}) (.+) (?:${AFTER.extract})$`)],
  ['remove', new RegExp(String.raw`^(?:${SPLIT.remove}) (.+) (?:${AFTER.remove})$`)],
  ['extract', new RegExp(String.raw`^(?:${EXTRACT}) (.+)$`)],
  ['remove', new RegExp(String.raw`^(?:${REMOVE}) (.+)$`)],
];
const BARE_WORK = new RegExp(String.raw`^(?:(${REMOVE})|(${EXTRACT}))$`);
const SECOND_COMMAND = new RegExp(String.raw`,? (?:and|then|and then|but|while) (?:then |also )?(${REMOVE}|${EXTRACT}|keep|leave|undo|redo|download|save|rename|call|name)(?: (.+))?$`);
const GERUND = /^(?:would|do|will) you mind (\w+?)(?:ing)\b/;
/** @type {Record<string, string>} */
const STEMS = { remov: 'remove', eras: 'erase', delet: 'delete', isolat: 'isolate', eliminat: 'eliminate', tak: 'take', wip: 'wipe', cutt: 'cut', clipp: 'clip', gett: 'get', separat: 'separate' };

/** @type {[import('./intent.js').PlainIntent['action'], RegExp][]} */
const PLAIN = [
  ['yes', /^(?:y|yes|yeah|yep|yup|sure|ok|okay|correct|right|exactly|do it|do that|go ahead|go on|confirm|confirmed|that's (?:it|right|the one|him|her)|that is (?:it|right)|yes please|of course|looks good)$/],
  ['no', /^(?:n|no|nope|nah|cancel|cancel that|never mind|nevermind|stop|wait|abort|forget it|forget about it|leave it|wrong|wrong one|not that|not that one|not this one|no thanks|no thank you|none of them|nothing)$/],
  ['newPicture', /^(?:start (?:over|again|afresh|anew|from scratch|from the beginning)|restart|reset|begin again|(?:a |the )?(?:new|another|next|different) (?:picture|photo|image)|(?:open|choose|take|load|upload|pick|use|start(?: with)?|try) (?:a |an |the )?(?:new |another |next |different |other )?(?:picture|photo|image)|(?:delete|remove|discard|throw away|erase|close) (?:the |this |my )?(?:whole |entire )?(?:picture|photo|photograph|image|job)|clear the picture)$/],
  ['clear', /^(?:clear|clear (?:everything|all|all of them|it all)|(?:clear|drop|reset|discard|undo)(?: all)?(?: of)? (?:the |my |all the |all my )?(?:selections?|marks?|markings|outlines?|masks?|list)|(?:delete|remove|erase) (?:all )?(?:of )?(?:the |my )?(?:marks|markings|outlines|masks)|clear (?:all )?(?:the |my )?(?:objects|things)|(?:deselect|unmark|unselect|drop)(?: all| everything)|undo (?:everything|all|it all|all of it|all that)|select (?:nothing|none))$/],
  ['another', /^(?:(?:a |an |the |one more |start a |start |start an |add a |add an |add |select |mark |begin a )?(?:new|another|next|more|further|additional) (?:object|thing|one)|another|one more|add (?:an )?object|add one|something else)$/],
  ['change', /^(?:(?:change|edit|correct|adjust|modify|go back to|back to|show) (?:the |my )?(?:selections?|objects|marks|outlines?|editing)|edit|back to editing)$/],
  ['help', /^(?:help|help me|commands|examples|show (?:me )?(?:the )?(?:help|commands|examples)|what can i say|what can i do|what can you do|how does (?:this|it) work|how do i use (?:this|it))$/],
];

const UNDO = /^(?:undo|revert|take back|go back|back|step back|oops|put back)(?: (?:that|it|this|the last|last|one|a|step|steps|thing|tap|taps|change|changes|mistake|action|my|the|put|back))*(?: (once|twice|(?:\w+) (?:times|steps)))?$/;
const TAKE_BACK = /^(?:take|put|bring) (?:it|that|this|him|her) back$/;
const REDO = /^(?:redo|step forward|forward|do (?:it|that) again|redo (?:it|that|this|the last (?:step|one|thing|change)|last)|undo the undo)(?: (once|twice|(?:\w+) times))?$/;
const RENAME = [
  /^(?:rename|relabel|retitle) (.+?) (?:to|as|into) (.+)$/,
  /^(?:rename|relabel) (?:to|as) ()(.+)$/,
  /^(?:change|set) the name of (.+?) (?:to|into|as) (.+)$/,
  /^(?:change|set) (?:its|the|this) name ()(?:to|as) (.+)$/,
  /^give (.+?) the name (.+)$/,
  /^(?:call|name|label) (it|this|that|this one|that one|the one \S+ the \S+|the \S+ one|(?:the )?(?:object|number) \w+|this object|the object|(?:the )?\w+ (?:object|one)) (.+)$/,
];
const RENAME_ASK = /^(?:rename|relabel|name|label)(?: (.+))?$/;
const IDIOMS = /^call it (?:a day|a night|off|quits|even|in)$/;
const DOWNLOAD = /^(?:download|save|export|get me|store)(?: (.+))?$/;
const DOWNLOAD_ALL = /^(?:all|everything|all of (?:it|them)|all (?:the )?(?:files|results|pictures|images|cut outs?)|(?:it |them |all |everything |the |a |as |all as |everything as )*(?:zip|archive)(?: file)?)$/;
const DOWNLOAD_PICTURE = /^(?:the |my )?(?:clean |cleaned |new |finished |result |resulting |whole |full )?(?:picture|photo|photograph|image|result)$/;
const SHOWN = /^(?:it|this|that|them|these|this one|the result|results|the results|the file|the files|the cut outs?|cut outs?)$/;
const DROP = /^(?:drop|unmark|deselect|unselect|forget(?: about)?|ignore) (.+)$/;
const DROP_FROM = /^(?:take|remove|delete|drop|erase) (.+) (?:from|off|out of) (?:the |my )?(?:list|selection|marks|objects)$/;
const DROP_MARK = /^(?:remove|delete|erase|drop|clear) (?:the |that |this )?(?:mark|outline|mask)(?: (?:of|from|on|around) (.+))?$/;
const SELECT = /^(?:select|choose|pick|highlight|focus on|focus|go to|switch to|mark|tap|tap on|click|click on|outline) (.+)$/;

/**
 * @param {string} sentence
 * @param {readonly string[]} [names] that the user gave to objects
 * @returns {Intent}
 */
export function readIntent(sentence, names = []) {
  const text = plain(sentence.replace(/ ?& ?/g, ' and ').replace(/[.!?…]+\s*$/, '').replace(/\s*[,;]\s*/g, ' §c ')).replaceAll(' §c', ',');
  if (!text) return { action: 'unclear', why: 'empty' };
  const whole = readPlain(text.replace(/ ?, ?/g, ' '));
  if (whole) return whole;
  const mind = GERUND.exec(text);
  const direct = mind ? text.replace(GERUND, STEMS[mind[1]] ?? mind[1]) : text;
  let words = direct.replace(POLITE_BEFORE, '').replace(/^yes,? (?=.)/, '');
  const rename = readRename(words.replace(POLITE_AFTER, ''), sentence, names);
  if (rename) return rename;
  words = words.replace(/\b(cutout|cut-out|cutouts|cut-outs)\b/g, (word) => (word.endsWith('s') ? 'cut outs' : 'cut out'));
  words = words.replace(/^an? /, '');
  const heard = /\b(?:object|number) (?:too|to)$/.test(words);
  const too = !heard && (TOO.test(words) || /^(?:also|and also)\b/.test(direct));
  words = words.replace(POLITE_AFTER, '');
  if (!heard) words = words.replace(TOO, '').replace(POLITE_AFTER, '');
  if (QUESTION.test(words)) return { action: 'unclear', why: 'question' };
  const negated = NEGATION.exec(words);
  if (negated && !(negated[0] === 'not' && OPPOSED.test(words) && !/^not\b/.test(words))) return { action: 'unclear', why: 'negated' };
  return readPlain(words) ?? readSteps(words) ?? readMarks(words, names) ?? readDownload(words, names) ?? readWork(words, names, too);
}

/** @param {string} words @returns {Intent | null} */
function readPlain(words) {
  const found = PLAIN.find(([, pattern]) => pattern.test(words));
  return found ? { action: found[0] } : null;
}

/** @param {string} words @returns {Intent | null} */
function readSteps(words) {
  if (TAKE_BACK.test(words)) return { action: 'undo', times: 1 };
  for (const [action, pattern] of /** @type {const} */ ([['redo', REDO], ['undo', UNDO]])) {
    const found = pattern.exec(words);
    if (!found) continue;
    const count = found[1] === 'twice' ? 2 : (cardinal(found[1]?.split(' ')[0]) ?? 1);
    return { action, times: count };
  }
  return null;
}

/**
 * @param {string} words in lower case
 * @param {string} sentence as it was written: the name keeps its case
 * @param {readonly string[]} names
 * @returns {Intent | null}
 */
function readRename(words, sentence, names) {
  if (IDIOMS.test(words)) return { action: 'unclear', why: 'verb' };
  for (const pattern of RENAME) {
    const found = pattern.exec(words);
    if (!found) continue;
    const target = readTarget(found[1] || 'it', names);
    if (target) return { action: 'rename', target, name: asWritten(found[2], sentence) };
  }
  const given = /^(?:call|name|label) (.+)$/.exec(words)?.[1].split(' ') ?? [];
  for (let at = given.length - 1; at > 0; at -= 1) {
    const said = given.slice(0, at).join(' ');
    const target = names.some((name) => isSameName(said, name)) ? readTarget(said, names) : null;
    if (target) return { action: 'rename', target, name: asWritten(given.slice(at).join(' '), sentence) };
  }
  const found = RENAME_ASK.exec(words);
  const target = found && readTarget(found[1] || 'it', names);
  return target ? { action: 'rename', target, name: '' } : null;
}

/**
 * @param {string} name in lower case
 * @param {string} sentence
 * @returns {string} the same words as they stand in the sentence
 */
function asWritten(name, sentence) {
  const bare = name.replace(/^(?:the|a|an) (?=.)/, '');
  const words = sentence.trim().split(/\s+/);
  for (let to = words.length; to > 0; to -= 1) {
    for (let from = to - 1; from >= 0; from -= 1) {
      const run = words.slice(from, to).join(' ');
      if (plain(run) === bare) return cleanName(run.replace(/^["'“‘]+|["'”’.,!?…]+$/g, ''));
    }
  }
  return cleanName(bare);
}

/** @param {string} words @param {readonly string[]} names @returns {Intent | null} */
function readMarks(words, names) {
  const drop = DROP_FROM.exec(words) ?? DROP_MARK.exec(words) ?? DROP.exec(words);
  const select = drop ? null : SELECT.exec(words);
  if (!drop && !select) return null;
  const target = readTarget((drop ?? select)?.[1] ?? 'it', names);
  if (!target) return { action: 'unclear', why: 'target' };
  return { action: drop ? 'drop' : 'select', target };
}

/** @param {string} words @param {readonly string[]} names @returns {Intent | null} */
function readDownload(words, names) {
  const found = DOWNLOAD.exec(words);
  if (!found) return null;
  const what = found[1] ?? '';
  const named = names.length ? readTarget(what, names) : null;
  if (named?.of.every(({ noun }) => names.some((name) => isSameName(noun, name)))) return { action: 'download', target: named, what: 'object' };
  if (!what || SHOWN.test(what)) return { action: 'download', target: null, what: 'shown' };
  if (DOWNLOAD_ALL.test(what)) return { action: 'download', target: null, what: 'all' };
  if (DOWNLOAD_PICTURE.test(what)) return { action: 'download', target: null, what: 'picture' };
  const target = readTarget(what, names);
  return target ? { action: 'download', target, what: 'object' } : { action: 'unclear', why: 'target' };
}

/** @param {string} words @param {readonly string[]} names @param {boolean} too @returns {Intent} */
function readWork(words, names, too) {
  if (/^crop out\b|^crop .+ out$|^cut (?:away|off)\b|^cut .+ (?:away|off)$/.test(words)) return { action: 'unclear', why: 'crop' };
  const bare = BARE_WORK.exec(words);
  if (bare && words !== 'lose' && words !== 'give me') {
    return { action: bare[1] ? 'remove' : 'extract', target: readTarget('all', []) ?? { of: [], except: [] }, too };
  }
  const nothing = WORK.every(([, pattern]) => !pattern.test(words));
  if (nothing) return { action: 'unclear', why: 'verb' };
  const [both] = WORK;
  if (!both[1].test(words) && SECOND_COMMAND.test(words)) return readTwo(words, names, too);
  for (const [action, pattern] of WORK) {
    const found = pattern.exec(words);
    const target = found && readTarget(found[1] ?? 'all', names);
    if (!target) continue;
    return { action, target, too };
  }
  return { action: 'unclear', why: 'target' };
}

/**
 * "Cut out the dog and remove it": two kinds of work on the same objects are one job; all else is said one by one.
 * @param {string} words
 * @param {readonly string[]} names
 * @param {boolean} too
 * @returns {Intent}
 */
function readTwo(words, names, too) {
  const second = /** @type {RegExpExecArray} */ (SECOND_COMMAND.exec(words));
  const first = readWork(words.slice(0, second.index), names, too);
  const then = readWork(`${second[1]} ${second[2] ?? ''}`.trim(), names, too);
  if (!('target' in first) || !('target' in then) || !first.target || !then.target) return { action: 'unclear', why: 'two' };
  const same = ['it', 'them', 'that', 'this', 'him', 'her'].includes((second[2] ?? '').replace(/ (?:too|as well|out|away)$/, ''));
  const both = new Set([first.action, then.action]);
  if (!same || !both.has('remove') || !both.has('extract')) return { action: 'unclear', why: 'two' };
  return { action: 'both', target: first.target, too };
}
