// Tells screen readers what changed, once it is quiet, and never more than a few lines.

import { make } from "./elements.js";

const QUIET_MS = 700;
const BETWEEN_MS = 4_000;
const LINES = 3;
const LENGTH = 160;

export class Announcer {
  #region = make("div", { class: "sg-heard", role: "status" });
  #records = new Set();
  #timer;
  #last = 0;

  constructor(place) {
    place.append(this.#region);
  }

  changed(records) {
    if (!records.size) return;
    this.#records = new Set([...this.#records, ...records]);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#say(), Math.max(QUIET_MS, this.#last + BETWEEN_MS - Date.now()));
  }

  close() {
    clearTimeout(this.#timer);
  }

  #say() {
    const texts = [...this.#records].filter(({ el }) => el.isConnected).map(({ attrs }) => attrs.text?.slice(0, LENGTH));
    this.#region.textContent = texts.filter(Boolean).slice(-LINES).join(". ");
    this.#records.clear();
    this.#last = Date.now();
  }
}
