/**
 * The key that the server asks for. Held for this tab, or on this device where the user says so; sent with each
 * call in a header, never in an address.
 *
 * A `change` event follows each new key.
 */

const NAME = 'tapcut.key';

/** @typedef {{key: string, remember: boolean}} GivenKey */

export class ApiKey extends EventTarget {
  /** @type {Promise<boolean> | null} */
  #asking = null;
  /** Where the browser forbids storage, the key lives as long as the page. @type {string | null} */
  #unstored = null;

  /** @param {(wrong: boolean) => Promise<GivenKey | null>} ask asks the user; `wrong`: the last one was refused */
  constructor(ask) {
    super();
    this.ask = ask;
  }

  /** @returns {string | null} */
  get value() {
    try {
      return sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME);
    } catch {
      return this.#unstored;
    }
  }

  /** @returns {Record<string, string>} what a call carries */
  get headers() {
    const key = this.value;
    return key ? { Authorization: `Bearer ${key}` } : {};
  }

  /**
   * A call was refused. Calls that are refused together ask once.
   * @param {string | null} refused the key that it carried
   * @returns {Promise<boolean>} whether there is another key now
   */
  renew(refused) {
    if (this.value !== refused) return Promise.resolve(true);
    this.#asking ??= this.#askFor(refused).finally(() => (this.#asking = null));
    return this.#asking;
  }

  /** @param {string | null} refused */
  async #askFor(refused) {
    const given = await this.ask(refused !== null);
    if (!given) return false;
    this.forget();
    try {
      (given.remember ? localStorage : sessionStorage).setItem(NAME, given.key);
    } catch {
      this.#unstored = given.key;
    }
    this.dispatchEvent(new Event('change'));
    return true;
  }

  forget() {
    this.#unstored = null;
    try {
      sessionStorage.removeItem(NAME);
      localStorage.removeItem(NAME);
    } catch {
      // Nothing was stored then.
    }
  }
}
