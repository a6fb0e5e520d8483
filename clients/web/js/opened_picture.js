/** A picture that can be shown: its address in this browser and its size. */

/** @typedef {{url: string, width: number, height: number}} OpenedPicture */

/**
 * @param {Blob} blob
 * @returns {Promise<OpenedPicture>} `url` must be revoked by whoever is done with it
 * @throws where this browser cannot show such a file
 */
export async function openPicture(blob) {
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
  return { url, width: image.naturalWidth, height: image.naturalHeight };
}
