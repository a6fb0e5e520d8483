/** What the server is doing, in words. */

/** @type {[RegExp, string][]} the names of stages are the server's; an unknown one is simply work */
const STAGES = [
  [/queue|wait/, 'Waiting for a free place'],
  [/encod|embed|load/, 'Looking at the picture'],
  [/decod|segment/, 'Finding the outlines'],
  [/refin|cut|crop/, 'Cutting along the edges'],
  [/inpaint|fill|lama/, 'Filling in the background'],
  [/writ|sav|commit|assembl|done|ready/, 'Saving the results'],
];

/** @param {import('./types.js').JobStatus} status */
export function stageText(status) {
  const place = status.queue_position; // 1: next
  if (place) return place > 1 ? `Waiting, ${place - 1} before you` : 'Next in the queue';
  const known = STAGES.find(([pattern]) => pattern.test(status.stage ?? ''));
  const count = status.num_objects ?? 0;
  const text = known?.[1] ?? 'Working';
  return count > 1 ? `${text} (${count} objects)` : text;
}
