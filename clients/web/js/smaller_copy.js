/**
 * A large picture made smaller in the browser, for who asks for it, and whether that was asked for last time.
 *
 * @typedef {import('./opened_picture.js').OpenedPicture} OpenedPicture
 * @typedef {'original' | 'smaller'} Kind
 */

const LARGE_BYTES = 8e6;
const LARGE_SIDE = 4096;
/** Longest side of the copy, pixels: more than a screen shows, and more than the service keeps unless told to. */
export const COPY_SIDE = 2560;
const QUALITY = 0.92;
/** About what a photo takes at that quality. */
const BYTES_PER_PIXEL = 0.4;
const KEY = 'tapcut.sends';

/**
 * What could be sent in place of what is being sent. Nothing is made smaller for it: the copy's size is a guess.
 * @param {Blob} file
 * @param {OpenedPicture} picture the same, opened
 * @param {Kind} kind being sent
 * @returns {{kind: Kind, label: string, note: string} | null} null: it is not large
 */
export function insteadOf(file, picture, kind) {
  const isLarge = file.size > LARGE_BYTES || Math.max(picture.width, picture.height) > LARGE_SIDE;
  if (!isLarge || copyBytes(picture) >= file.size) return null;
  if (kind === 'smaller') {
    return { kind: 'original', label: `Send the original (${megabytes(file.size)})`, note: 'A smaller copy is being sent.' };
  }
  const note = `The original (${megabytes(file.size)}) is being sent. With a copy, results are up to ${COPY_SIDE} pixels wide or high.`;
  return { kind: 'smaller', label: copyLabel(picture), note };
}

/** @param {{width: number, height: number}} picture */
export const copyLabel = (picture) => `Send a smaller copy (about ${megabytes(copyBytes(picture))})`;

/** @param {number} bytes */
const megabytes = (bytes) => `${bytes < 9.5e5 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6)} MB`;

/**
 * @param {File} file
 * @param {OpenedPicture | null} picture the same, opened; null: this browser cannot
 * @param {Kind} kind
 * @returns {Promise<{sent: Blob, kind: Kind}>} the copy where it is wanted and of use, else the file
 */
export async function fileToSend(file, picture, kind) {
  if (kind === 'original' || !picture) return { sent: file, kind: 'original' };
  const copy = await smallerCopy(file).catch(() => null);
  return copy && copy.size < file.size ? { sent: copy, kind } : { sent: file, kind: 'original' };
}

/** @param {{width: number, height: number}} picture @returns {{width: number, height: number}} of its copy */
export function copySize({ width, height }) {
  const scale = Math.min(COPY_SIDE / Math.max(width, height), 1);
  return { width: Math.max(Math.round(width * scale), 1), height: Math.max(Math.round(height * scale), 1) };
}

/** @param {{width: number, height: number}} picture @returns {number} bytes of its copy, roughly */
export function copyBytes(picture) {
  const { width, height } = copySize(picture);
  return width * height * BYTES_PER_PIXEL;
}

/**
 * Upright, in sRGB, on white: what the service makes of a picture, too.
 * @param {Blob} file
 * @returns {Promise<Blob>} JPEG
 * @throws where this browser cannot read the file, or does not let a page read what it draws
 */
export async function smallerCopy(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  const { width, height } = copySize(bitmap);
  const canvas = new OffscreenCanvas(width, height);
  const ink = canvas.getContext('2d');
  if (!ink || !readsWhatItDraws()) throw new Error('This browser does not let a page make pictures.');
  ink.fillStyle = '#fff';
  ink.fillRect(0, 0, width, height);
  ink.imageSmoothingQuality = 'high';
  ink.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY });
}

/** @returns {boolean} false: the browser guards against being recognised, and gives back other pixels */
function readsWhatItDraws() {
  const ink = new OffscreenCanvas(4, 4).getContext('2d');
  if (!ink) return false;
  ink.fillStyle = 'rgb(200 100 50)';
  ink.fillRect(0, 0, 4, 4);
  const { data } = ink.getImageData(0, 0, 4, 4);
  return data.every((value, i) => Math.abs(value - [200, 100, 50, 255][i % 4]) <= 2);
}

/** @returns {Kind} what was chosen last time */
export function rememberedKind() {
  try {
    return localStorage.getItem(KEY) === 'smaller' ? 'smaller' : 'original';
  } catch {
    return 'original';
  }
}

/** @param {Kind} kind */
export function rememberKind(kind) {
  try {
    if (kind === 'smaller') localStorage.setItem(KEY, kind);
    else localStorage.removeItem(KEY);
  } catch {
    // Asked anew next time.
  }
}
