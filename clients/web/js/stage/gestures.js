/**
 * What fingers, mouse and pen mean on the picture. Speaks in screen pixels; knows no objects.
 *
 * One finger or the left button: tap, hold (touch) or Shift/Alt/right button (mouse) = leave out, drag = box.
 * With `brush`: drag = paint, Shift/Alt/right button = the other way round.
 * Two fingers: zoom and move. Wheel: move; with Ctrl, or a pinch on a trackpad: zoom. Middle button or Space: move.
 *
 * @typedef {import('./brushwork.js').Sample} Sample
 *
 * @typedef {Object} Intents
 * @property {(x: number, y: number, leaveOut: boolean) => void} tap
 * @property {(x0: number, y0: number, x1: number, y1: number) => void} boxing  while dragging
 * @property {(x0: number, y0: number, x1: number, y1: number) => void} box
 * @property {(sample: Sample, inverted: boolean) => void} paint  the brush comes down
 * @property {(samples: Sample[]) => void} painting
 * @property {() => void} painted
 * @property {() => void} cancel  what had begun is not to be
 * @property {(x: number, y: number) => void} hover
 * @property {() => void} leave
 * @property {(factor: number, x: number, y: number, fromX: number, fromY: number) => void} zoom  about a place that may move
 * @property {(dx: number, dy: number) => void} pan
 */

const HOLD_MS = 450;
/** A second finger within this time makes the first one part of a pinch; later the stroke is whole. */
const PINCH_MS = 350;
/** Fingers are less steady than mice. */
const SLACK_PX = { mouse: 4, pen: 6, touch: 12 };

export class Gestures {
  /**
   * @param {HTMLElement} surface
   * @param {Intents} intents
   */
  constructor(surface, intents) {
    this.surface = surface;
    this.intents = intents;
    this.enabled = true;
    /** Dragging paints. */
    this.brush = false;
    /** @type {Map<number, {x: number, y: number}>} */
    this.down = new Map();
    /** @type {{x: number, y: number, kind: 'press' | 'box' | 'pan' | 'paint' | 'spent', slack: number, leaveOut: boolean, since: number} | null} */
    this.stroke = null;
    this.hold = 0;
    this.spaceHeld = false;
    surface.addEventListener('pointerdown', (event) => this.#onDown(event));
    surface.addEventListener('pointermove', (event) => this.#onMove(event));
    surface.addEventListener('pointerup', (event) => this.#onUp(event, false));
    surface.addEventListener('pointercancel', (event) => this.#onUp(event, true));
    surface.addEventListener('pointerleave', () => this.intents.leave());
    surface.addEventListener('contextmenu', (event) => event.preventDefault());
    surface.addEventListener('wheel', (event) => this.#onWheel(event), { passive: false });
    addEventListener('keydown', (event) => {
      if (event.code === 'Space' && event.target === surface) this.spaceHeld = true;
    });
    addEventListener('keyup', (event) => {
      if (event.code === 'Space') this.spaceHeld = false;
    });
  }

  /** @param {{clientX: number, clientY: number}} event */
  #place(event) {
    const frame = this.surface.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  /** @param {PointerEvent} event @returns {Sample} */
  #sample(event) {
    return { ...this.#place(event), pressure: event.pointerType === 'pen' && event.pressure ? event.pressure : null };
  }

  /** @param {PointerEvent} event */
  #onDown(event) {
    if (!this.enabled) return;
    const place = this.#place(event);
    this.down.set(event.pointerId, place);
    try {
      this.surface.setPointerCapture(event.pointerId);
    } catch {
      // The pointer is already up again; its pointerup follows.
    }
    if (this.down.size > 1) {
      this.#drop(event.timeStamp);
      this.stroke = { ...place, kind: 'spent', slack: 0, leaveOut: false, since: event.timeStamp };
      return;
    }
    const pans = event.button === 1 || this.spaceHeld;
    if (pans) event.preventDefault();
    this.stroke = {
      ...place,
      kind: pans ? 'pan' : this.brush ? 'paint' : 'press',
      slack: SLACK_PX[/** @type {'mouse' | 'pen' | 'touch'} */ (event.pointerType)] ?? SLACK_PX.mouse,
      leaveOut: event.button === 2 || event.shiftKey || event.altKey || (event.ctrlKey && event.button === 0),
      since: event.timeStamp,
    };
    if (this.stroke.kind === 'paint') this.intents.paint(this.#sample(event), this.stroke.leaveOut);
    else if (event.pointerType === 'touch') this.hold = setTimeout(() => this.#onHold(), HOLD_MS);
  }

  #onHold() {
    if (this.stroke?.kind !== 'press') return;
    this.stroke.kind = 'spent';
    navigator.vibrate?.(12);
    this.intents.tap(this.stroke.x, this.stroke.y, true);
  }

  /** @param {PointerEvent} event */
  #onMove(event) {
    const place = this.#place(event);
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (this.enabled && event.pointerType !== 'touch') this.intents.hover(place.x, place.y);
      return;
    }
    if (this.down.size === 2) this.#pinch(event.pointerId, before, place);
    this.down.set(event.pointerId, place);
    const stroke = this.stroke;
    if (!stroke || this.down.size > 1) return;
    if (stroke.kind === 'pan') this.intents.pan(place.x - before.x, place.y - before.y);
    if (stroke.kind === 'paint') {
      const between = event.getCoalescedEvents?.() ?? [];
      this.intents.painting((between.length ? between : [event]).map((each) => this.#sample(each)));
    }
    if (stroke.kind === 'press' && Math.hypot(place.x - stroke.x, place.y - stroke.y) > stroke.slack) {
      clearTimeout(this.hold);
      stroke.kind = 'box';
      this.intents.leave();
    }
    if (stroke.kind === 'box') this.intents.boxing(stroke.x, stroke.y, place.x, place.y);
  }

  /**
   * @param {number} movedId
   * @param {{x: number, y: number}} before
   * @param {{x: number, y: number}} after
   */
  #pinch(movedId, before, after) {
    const other = [...this.down].find(([id]) => id !== movedId)?.[1];
    if (!other) return;
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(after.x - other.x, after.y - other.y);
    // One change, not a move and then a zoom: a picture that is wholly seen cannot be moved, only both at once.
    const [x, y] = [(after.x + other.x) / 2, (after.y + other.y) / 2];
    this.intents.zoom(was > 0 ? is / was : 1, x, y, (before.x + other.x) / 2, (before.y + other.y) / 2);
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} cancelled
   */
  #onUp(event, cancelled) {
    const place = this.#place(event);
    if (!this.down.delete(event.pointerId)) return;
    clearTimeout(this.hold);
    const stroke = this.stroke;
    if (!stroke) return;
    if (cancelled) this.intents.cancel();
    else if (stroke.kind === 'press') this.intents.tap(stroke.x, stroke.y, stroke.leaveOut);
    else if (stroke.kind === 'box') this.intents.box(stroke.x, stroke.y, place.x, place.y);
    else if (stroke.kind === 'paint') this.intents.painted();
    if (this.down.size === 0) this.stroke = null;
    else stroke.kind = 'spent';
  }

  /**
   * Forgets what is under way, for example when a second finger comes down.
   * @param {number} now
   */
  #drop(now) {
    clearTimeout(this.hold);
    const { kind, since } = this.stroke ?? {};
    this.stroke = null;
    if (kind === 'paint' && now - (since ?? now) > PINCH_MS) this.intents.painted();
    else if (kind === 'box' || kind === 'paint') this.intents.cancel();
  }

  /** Escape: what was begun is not to be. */
  abandon() {
    this.#drop(-Infinity);
  }

  /** @param {WheelEvent} event */
  #onWheel(event) {
    if (!this.enabled) return;
    event.preventDefault();
    if (this.stroke?.kind === 'paint') return; // The stroke is drawn on the screen as it stands.
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const place = this.#place(event);
    if (event.ctrlKey || event.metaKey) {
      this.intents.zoom(Math.exp(-event.deltaY * unit * 0.01), place.x, place.y, place.x, place.y);
    } else {
      this.intents.pan(-event.deltaX * unit, -event.deltaY * unit);
    }
  }
}
