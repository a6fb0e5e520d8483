/** How a picture comes in: chosen, photographed, dropped, pasted. Hands on the file and nothing else. */

import { byId } from './dom.js';

const PICTURE_NAME = /\.(jpe?g|png|webp|heic|heif|avif|gif|bmp|tiff?)$/i;

/** @param {File} file */
const looksLikePicture = (file) => file.type.startsWith('image/') || PICTURE_NAME.test(file.name);

/**
 * @param {(file: File) => void} onPicture
 * @param {(text: string, advice: string) => void} onRefusal
 */
export function watchIntake(onPicture, onRefusal) {
  /** @param {FileList | File[] | null | undefined} files */
  const take = (files) => {
    const all = [...(files ?? [])];
    if (!all.length) return;
    const picture = all.find(looksLikePicture);
    if (picture) onPicture(picture);
    else onRefusal('This is not a picture.', 'Choose a JPEG, PNG or WebP file.');
  };

  for (const [button, input] of [['choose', 'file'], ['take-photo', 'camera']]) {
    const field = byId(input, HTMLInputElement);
    byId(button).addEventListener('click', () => field.click());
    field.addEventListener('change', () => {
      take(field.files);
      field.value = '';
    });
  }

  addEventListener('paste', (event) => take(event.clipboardData?.files));

  const veil = byId('veil');
  /** @param {DragEvent} event */
  const bringsFiles = (event) => event.dataTransfer?.types.includes('Files') ?? false;
  addEventListener('dragover', (event) => {
    if (!bringsFiles(event)) return;
    event.preventDefault();
    veil.toggleAttribute('data-shown', true);
  });
  addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) veil.toggleAttribute('data-shown', false);
  });
  addEventListener('drop', (event) => {
    veil.toggleAttribute('data-shown', false);
    if (!bringsFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer?.files);
  });
}
