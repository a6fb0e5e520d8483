/**
 * Shapes shared by the modules: what the server answers and what the page holds. No code.
 *
 * Coordinates are x, y in pixels of original.png, whatever the zoom of the page.
 *
 * @typedef {[number, number]} Point  x, y; whole pixels
 * @typedef {[number, number, number, number]} Box  x0, y0, x1, y1; half open
 * @typedef {0 | 1} Label  1: belongs to the object, 0: does not
 *
 * @typedef {Object} Prompt  what the user says of one object
 * @property {Point[]} points
 * @property {Label[]} labels  one for each point
 * @property {Box | null} box
 *
 * @typedef {Object} Stroke
 * @property {boolean} erase
 * @property {number[]} path  x, y and radius of discs that follow each other; to a tenth of a pixel, a pixel's middle is at .5
 *
 * @typedef {Object} SelectedObject
 * @property {number} id  never reused within a picture
 * @property {number} colour  index into the palette
 * @property {string} [name]  given by the user
 * @property {Point[]} points
 * @property {Label[]} labels
 * @property {Box | null} box
 * @property {readonly Stroke[]} strokes  of the brush, in their order; they lie over the network's mask
 * @property {number | null} choice  which candidate of the preview, by area from small to large; null: the server's own
 *
 * @typedef {{size: [number, number], counts: string}} Rle  COCO's run-length code; height and width of the picture
 *
 * @typedef {{id: number, title: string, name: string}} Named  an object as it is called on the page; `name`: if given by the user
 *
 * @typedef {Object} Candidate
 * @property {number} score  the network's guess of how good the outline is, about 0 to 1
 * @property {number} [stability]
 * @property {number} area  pixels
 * @property {Box} bbox
 * @property {Point[][]} polygons  rings, rounded off; holes are not told
 * @property {Rle} [rle]  the pixels exactly
 *
 * @typedef {Candidate & {candidates?: Candidate[]}} Preview
 *
 * @typedef {Object} UploadAnswer
 * @property {string} job_id
 * @property {number} width
 * @property {number} height
 * @property {number} uploaded_width
 * @property {number} uploaded_height
 *
 * @typedef {Object} JobStatus
 * @property {string} job_id
 * @property {'uploaded' | 'processing' | 'ready' | 'error'} status
 * @property {number} progress  0 to 100
 * @property {string | null} [stage]
 * @property {number | null} [queue_position]
 * @property {number} [num_objects]
 * @property {(Candidate & {index?: number, warnings?: string[]})[]} [objects]
 * @property {string[]} [files]
 * @property {string | null} [error]
 * @property {string} [expires_at]  ISO 8601
 *
 * @typedef {'masks' | 'cropped' | 'inpainted' | 'full_inpainted'} Output
 *
 * @typedef {Object} Problem  RFC 9457
 * @property {string} [title]
 * @property {number} [status]
 * @property {string} [detail]
 * @property {string} [request_id]
 */

export {};
