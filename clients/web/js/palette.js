/** Colours of objects: far apart from each other, and seen on most photographs with a white rim. */
export const PALETTE = [
  '#2f8cff', // blue
  '#ff5d52', // coral
  '#f5b301', // amber
  '#b067ff', // violet
  '#12c48b', // green
  '#ff6fb5', // pink
  '#12bfd6', // cyan
  '#a3cc12', // lime
];

/** @param {number} index */
export const colourOf = (index) => PALETTE[index % PALETTE.length];

/** The palette's colours in words, for those who type, speak or listen. */
export const COLOUR_NAMES = ['blue', 'coral', 'amber', 'violet', 'green', 'pink', 'cyan', 'lime'];

/** @param {number} index */
export const colourNameOf = (index) => COLOUR_NAMES[index % COLOUR_NAMES.length];
