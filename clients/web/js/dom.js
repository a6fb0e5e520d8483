/** The few lines that make building elements short. */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!found || (type && !(found instanceof type))) throw new Error(`The page lacks #${id}`);
  return /** @type {T} */ (found);
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties] `class`, `on` (listeners) and `aria-*`/`data-*` attributes; else properties
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (/^(aria-|data-|role$)/.test(name)) element.setAttribute(name, value === true ? '' : String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** The symbols, kept here so that new icons show at once, and also when the connection is gone. */
const sprite = fetch(new URL('../icons.svg', import.meta.url))
  .then((response) => response.text())
  .then((text) => new DOMParser().parseFromString(text, 'image/svg+xml'))
  .catch(() => null);

/** @param {string} name a symbol of icons.svg */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  sprite.then((symbols) => {
    const symbol = symbols?.getElementById(name);
    if (!symbol) return;
    for (const { name: attribute, value } of symbol.attributes) if (attribute !== 'id') svg.setAttribute(attribute, value);
    svg.append(...[...symbol.children].map((child) => document.importNode(child, true)));
  });
  return svg;
}

/** @param {Blob} blob @param {string} name */
export function saveAs(blob, name) {
  const url = URL.createObjectURL(blob);
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
