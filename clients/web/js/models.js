/** Says which checkpoints the server has loaded, and whether it is ready. */

import { byId, make } from './dom.js';

const AGAIN_MS = 2000;
/** @type {Promise<void> | null} the watching under way */
let watching = null;
/** @type {Record<string, {name: string, text: string}>} */
const KINDS = {
  bundled: {
    name: 'Bundled models',
    text: 'The small networks that come with tapcut. Outlines and fills are rougher than with the released MobileSAM and LaMa.',
  },
  released: {
    name: 'Released models',
    text: 'The released MobileSAM and LaMa checkpoints, at full size.',
  },
  mixed: { name: 'Mixed models', text: 'One network is the small bundled one, the other the released one.' },
  configured: { name: 'Own models', text: 'Checkpoints that whoever runs this server has set.' },
};
/** @type {Record<string, string>} */
const NETWORKS = { mobile_sam: 'MobileSAM (outlines)', lama: 'LaMa (fills)' };

/**
 * @param {any} entry what /health says of one checkpoint
 * @returns {'bundled' | 'released' | 'configured'}
 */
function kindOf(entry) {
  const kind = typeof entry === 'string' ? entry : entry?.checkpoint;
  return kind === 'bundled' || kind === 'released' ? kind : 'configured';
}

/**
 * Looks until the server is ready, or asks for a key.
 * @param {import('./api.js').Api} api
 * @returns {Promise<void>}
 */
export function watchModels(api) {
  watching ??= watch(api).finally(() => (watching = null));
  return watching;
}

/**
 * Looks for a server that did not answer, after a moment.
 * @param {import('./api.js').Api} api
 */
export async function untilBack(api) {
  await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  await watchModels(api);
}

/** @param {import('./api.js').Api} api */
async function watch(api) {
  for (;;) {
    const again = await refresh(api);
    if (!again) return;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/**
 * @param {import('./api.js').Api} api
 * @returns {Promise<boolean>} whether to look again
 */
async function refresh(api) {
  try {
    const { ready, needsKey, health } = await api.health();
    if (!ready) {
      const degraded = health.status === 'degraded';
      const text = degraded
        ? 'Part of the server does not answer. Uploads are refused until it does. This page keeps looking.'
        : 'The server is loading its models. Pictures can be opened in a moment.';
      show('waiting', degraded ? 'Not ready' : 'Starting…', text, []);
      return true;
    }
    if (needsKey) {
      show('waiting', 'Needs a key', 'This server asks for a key as soon as you open a picture.', []);
      return false;
    }
    const checkpoints = health.checkpoints ?? {};
    const entries = typeof checkpoints === 'string' ? [['all', checkpoints]] : Object.entries(checkpoints);
    const kinds = new Set(entries.map(([, entry]) => kindOf(entry)));
    const kind = KINDS[kinds.size > 1 ? 'mixed' : ([...kinds][0] ?? 'configured')];
    /** @type {[string, string][]} */
    const rows = entries
      .filter(([name]) => name in NETWORKS)
      .map(([name, entry]) => [NETWORKS[name], kindOf(entry)]);
    const device = typeof health.device === 'string' ? health.device : '';
    if (device) rows.push(['Runs on', /cuda|gpu/i.test(device) ? `GPU (${device})` : device.toUpperCase()]);
    show('ready', kind.name, kind.text, rows);
    return false;
  } catch {
    show('away', 'No connection', 'The server cannot be reached. This page keeps trying.', []);
    return true;
  }
}

/**
 * @param {'ready' | 'waiting' | 'away'} state
 * @param {string} name
 * @param {string} text
 * @param {[string, string][]} rows
 */
function show(state, name, text, rows) {
  const pill = byId('models');
  pill.hidden = false;
  pill.dataset.state = state;
  byId('models-name').textContent = name;
  const list = rows.map(([term, value]) => make('div', {}, make('dt', {}, term), make('dd', {}, value)));
  byId('models-detail').replaceChildren(make('h2', {}, name), make('p', {}, text), make('dl', {}, ...list));
}
