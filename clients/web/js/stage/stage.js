/**
 * The picture on the screen with everything drawn over it, and what is done to it by pointer and keyboard.
 *
 * Events: `tap` {point, label}, `box` {box}, `stroke` {stroke}, `hover` {point}, `leave`, `view`. All in pixels of the picture.
 *
 * @typedef {import('../types.js').Point} Point
 * @typedef {import('../types.js').Box} Box
 * @typedef {import('./paint.js').Scene} Scene
 */

import { Brushwork } from './brushwork.js';
import { Fades } from './fades.js';
import { Gestures } from './gestures.js';
import { paint } from './paint.js';
import { View } from './view.js';

/** A box smaller than this on the screen was a slip of the hand. */
const MIN_BOX_PX = 10;
const ZOOM_STEP = 1.5;
/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Stage extends EventTarget {
  /** @type {Scene} */
  #scene = { objects: [], hover: null, hoverColour: '#fff', dragged: null, cross: null, busy: false, painting: false };
  #frame = 0;

  /**
   * @param {HTMLElement} frame takes keyboard focus and pointers
   * @param {HTMLImageElement} picture
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLCanvasElement} below for the object under the brush
   * @param {HTMLElement} cursor of the brush
   */
  constructor(frame, picture, canvas, below, cursor) {
    super();
    this.frame = frame;
    this.picture = picture;
    this.canvas = canvas;
    this.view = new View();
    this.fades = new Fades();
    this.brushwork = new Brushwork(this.view, below, cursor);
    /** With it a tap leaves out instead of adding. */
    this.leavingOut = false;
    this.stillness = matchMedia('(prefers-reduced-motion: reduce)');
    this.gestures = new Gestures(frame, {
      tap: (x, y, leaveOut) => this.#tap(this.view.pixelAt(x, y), leaveOut),
      boxing: (...corners) => this.#update({ dragged: this.#boxOf(...corners) }),
      box: (...corners) => this.#box(...corners),
      paint: (sample, inverted) => this.#paint(sample, inverted),
      painting: (samples) => this.brushwork.extend(samples),
      painted: () => this.#painted(),
      cancel: () => this.#cancel(),
      hover: (x, y) => this.#hover(x, y),
      leave: () => this.#emit('leave'),
      zoom: (...change) => this.#move(() => this.view.zoomAt(...change)),
      pan: (dx, dy) => this.#move(() => this.view.pan(dx, dy)),
    });
    frame.addEventListener('keydown', (event) => this.#onKey(event));
    for (const name of /** @type {const} */ (['pointermove', 'pointerdown', 'pointerup', 'pointerleave', 'pointercancel'])) {
      frame.addEventListener(name, (event) => this.#onPointer(event));
    }
    frame.addEventListener('blur', () => this.#update({ cross: null }));
    new ResizeObserver(() => this.#resize()).observe(frame);
  }

  /** @param {boolean} enabled whether taps count */
  set enabled(enabled) {
    this.gestures.enabled = enabled;
    if (!enabled) this.#update({ cross: null, dragged: null });
  }

  /** What a drag paints with; null: taps and boxes. @param {{radius: number, erase: boolean} | null} brush */
  set brush(brush) {
    this.brushwork.brush = brush;
    this.gestures.brush = brush !== null;
    this.frame.toggleAttribute('data-brush', brush !== null);
    if (this.#scene.cross) this.#showCross(this.#scene.cross);
  }

  /** @param {PointerEvent} event */
  #onPointer(event) {
    const gone = event.type === 'pointerleave' || (event.pointerType === 'touch' && (event.type === 'pointerup' || this.gestures.down.size > 1));
    const { left, top } = this.frame.getBoundingClientRect();
    this.brushwork.point(gone || !this.gestures.enabled ? null : { x: event.clientX - left, y: event.clientY - top });
  }

  /** @param {import('./brushwork.js').Sample} sample @param {boolean} inverted */
  #paint(sample, inverted) {
    const current = this.#scene.objects.find((object) => object.current);
    this.brushwork.begin(sample, inverted, this.canvas, current?.mask ?? null, current?.colour ?? this.#scene.hoverColour);
    this.#update({ painting: true });
  }

  #painted() {
    const stroke = this.brushwork.end();
    this.#update({ painting: false });
    if (stroke) this.#emit('stroke', { stroke });
  }

  #cancel() {
    this.brushwork.end();
    this.#update({ dragged: null, painting: false });
  }

  /**
   * @param {string} url
   * @param {number} width of original.png, which `url` may show at another size
   * @param {number} height
   * @param {boolean} isNew whether another picture was seen before: it is shown whole
   */
  show(url, width, height, isNew) {
    const same = this.view.picture.width === width && this.view.picture.height === height;
    this.view.picture = { width, height };
    if (this.picture.src !== url) this.picture.src = url;
    if (isNew || !same) this.view.fit();
    this.#resize();
  }

  /** @param {Partial<Scene>} change */
  set(change) {
    this.#update(change);
  }

  /** @param {number} direction 1 nearer, -1 further, 0 the whole picture */
  zoom(direction) {
    const { screen } = this.view;
    this.#move(() => {
      if (direction === 0) this.view.fit();
      else this.view.zoomAt(ZOOM_STEP ** direction, screen.width / 2, screen.height / 2);
    });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (!this.gestures.enabled) return;
    const { picture } = this.view;
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = Math.max(1, Math.round(Math.max(picture.width, picture.height) / (event.shiftKey ? 10 : 60)));
      const [x, y] = this.#scene.cross ?? [picture.width / 2, picture.height / 2];
      const limit = (/** @type {number} */ v, /** @type {number} */ max) => Math.min(Math.max(Math.round(v), 0), max - 1);
      const moved = /** @type {Point} */ ([
        limit(x + arrow[0] * step, picture.width),
        limit(y + arrow[1] * step, picture.height),
      ]);
      this.#update({ cross: moved });
      this.#showCross(moved);
      this.#emit('cross', { point: moved });
    } else if (event.key === 'Enter' && this.#scene.cross) {
      this.#tap(this.#scene.cross, event.shiftKey);
    } else if (event.key === 'Enter') {
      const middle = /** @type {Point} */ ([Math.floor(picture.width / 2), Math.floor(picture.height / 2)]);
      this.#update({ cross: middle });
      this.#showCross(middle);
      this.#emit('cross', { point: middle });
    } else if (event.key === 'Escape') {
      this.gestures.abandon();
      this.brushwork.point(null);
      this.#update({ cross: null, dragged: null });
    } else return;
    event.preventDefault();
  }

  /** The brush's circle at the crosshair. @param {Point} cross */
  #showCross([px, py]) {
    const [x, y] = this.view.toScreen([px + 0.5, py + 0.5]);
    this.brushwork.point({ x, y });
  }

  /** @param {Point | null} point @param {boolean} leaveOut */
  #tap(point, leaveOut) {
    const { brush } = this.brushwork;
    if (point && brush) {
      const stroke = { erase: brush.erase !== leaveOut, path: [point[0] + 0.5, point[1] + 0.5, brush.radius] };
      this.#emit('stroke', { stroke });
    } else if (point) this.#emit('tap', { point, label: leaveOut !== this.leavingOut ? 0 : 1 });
  }

  /** @param {number} x @param {number} y */
  #hover(x, y) {
    const point = this.view.pixelAt(x, y);
    if (point) this.#emit('hover', { point });
    else this.#emit('leave');
  }

  /** @type {(x0: number, y0: number, x1: number, y1: number) => Box} */
  #boxOf(x0, y0, x1, y1) {
    const { picture } = this.view;
    const [ax, ay] = this.view.toPicture(x0, y0);
    const [bx, by] = this.view.toPicture(x1, y1);
    const limit = (/** @type {number} */ v, /** @type {number} */ max) => Math.min(Math.max(v, 0), max);
    return [
      limit(Math.floor(Math.min(ax, bx)), picture.width),
      limit(Math.floor(Math.min(ay, by)), picture.height),
      limit(Math.ceil(Math.max(ax, bx)), picture.width),
      limit(Math.ceil(Math.max(ay, by)), picture.height),
    ];
  }

  /** @type {(x0: number, y0: number, x1: number, y1: number) => void} */
  #box(...corners) {
    const box = this.#boxOf(...corners);
    this.#update({ dragged: null });
    const smallest = MIN_BOX_PX / this.view.scale;
    if (box[2] - box[0] >= smallest && box[3] - box[1] >= smallest) this.#emit('box', { box });
  }

  /** @param {() => void} change */
  #move(change) {
    change();
    this.#draw();
    this.#emit('view');
  }

  #resize() {
    const { clientWidth, clientHeight } = this.frame;
    if (!clientWidth || !clientHeight) return;
    const wasFitted = this.view.zoom < 1.001;
    const narrow = clientWidth < 700;
    const low = clientHeight < 460;
    this.view.margins = low ? [12, 12, 62, 12] : narrow ? [52, 12, 76, 12] : [60, 32, 92, 32];
    this.view.screen = { width: clientWidth, height: clientHeight };
    const ratio = Math.min(devicePixelRatio || 1, 3);
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (wasFitted) this.view.fit();
    else this.view.settle();
    this.#draw();
    this.#emit('view');
  }

  /** @param {Partial<Scene>} change */
  #update(change) {
    Object.assign(this.#scene, change);
    this.#draw();
  }

  #draw() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame((time) => {
      this.#frame = 0;
      const { scale, x, y, picture, screen } = this.view;
      this.picture.style.width = `${picture.width * scale}px`;
      this.picture.style.height = `${picture.height * scale}px`;
      this.picture.style.transform = `translate(${x}px, ${y}px)`;
      const ink = this.canvas.getContext('2d');
      if (!ink) return;
      const still = this.stillness.matches;
      this.fades.update(this.#scene.objects, this.#scene.hover, time, still);
      paint(ink, this.view, this.#scene, this.canvas.width / screen.width, this.fades, still ? 0 : time);
      this.brushwork.clear();
      const moving = this.fades.areMoving || this.#scene.busy || this.#scene.objects.some((object) => object.pending);
      if (moving && !still) this.#draw();
    });
  }

  /** @param {string} name @param {object} [detail] */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
