/**
 * A mask as a PNG of one bit a pixel. Written here and not by a canvas, because browsers that guard against being
 * recognised change what a canvas gives back; and it takes 1/32 of the memory.
 *
 * Pixels of `Mask`, format: RFC 2083; the bytes between are zlib's (RFC 1950), which `CompressionStream` writes.
 */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/**
 * @param {import('./mask.js').Mask} mask lies within the picture
 * @param {number} width of the picture
 * @param {number} height
 * @returns {Promise<string>} in base64: white is the object, black is not
 */
export async function maskPng(mask, width, height) {
  const stride = 1 + Math.ceil(width / 8); // each row begins with its filter: none
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < mask.height; y += 1) {
    const row = (mask.y + y) * stride + 1;
    for (let x = 0; x < mask.width; x += 1) {
      if (mask.bits[y * mask.width + x]) rows[row + ((mask.x + x) >> 3)] |= 0x80 >> ((mask.x + x) & 7);
    }
  }
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'));
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  const header = [...bytesOf(width), ...bytesOf(height), 1, 0, 0, 0, 0];
  const parts = [SIGNATURE, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', [])];
  return base64(new Uint8Array(await new Blob(parts.map((part) => Uint8Array.from(part))).arrayBuffer()));
}

/** @param {number} number @returns {number[]} */
const bytesOf = (number) => [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255];

/** @param {string} name @param {ArrayLike<number>} content */
function chunk(name, content) {
  const bytes = new Uint8Array(content.length + 12);
  bytes.set(bytesOf(content.length));
  bytes.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  let crc = -1;
  for (const byte of bytes.subarray(4, bytes.length - 4)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  bytes.set(bytesOf(~crc), bytes.length - 4);
  return bytes;
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
