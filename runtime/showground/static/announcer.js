// Tells screen readers what changed in a post: once it is quiet, not at every tick, and never more than a few lines.

import { make } from "./elements.js";

const QUIET_MS = 700;
const BETWEEN_MS = 4_000;
const LINES = 3;
const LENGTH = 160;

export class Announcer {
  #region = make("div", { class: "sg-heard", role: "status" });
  #texts = new Map(); // record → its newest text
  #timer = 0;
  #last = 0;

  constructor(place) {
    place.append(this.#region);
  }

  /** *records* show other texts than before. */
  changed(records) {
    for (const record of records) {
      this.#texts.delete(record);
      this.#texts.set(record, record.attrs.text);
    }
    if (!this.#texts.size) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#say(), Math.max(QUIET_MS, this.#last + BETWEEN_MS - Date.now()));
  }

  close() {
    clearTimeout(this.#timer);
    this.#region.remove();
  }

  #say() {
    const texts = [...this.#texts].filter(([{ el, attrs }, text]) => text && el.isConnected && attrs.text === text);
    this.#texts.clear();
    this.#last = Date.now();
    this.#region.textContent = texts.slice(-LINES).map(([, text]) => String(text).slice(0, LENGTH)).join(". ");
  }
}
