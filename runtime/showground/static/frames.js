// Pages of apps in sandboxed frames: those of web view blocks, and those that are shown over the post.
//
// A page talks by `parent.postMessage(json, "*")`, and hears `{type: "devvit-message", data: {message}}`.

import { icon, make } from "./elements.js";
import { pageAddress } from "./style.js";

const QUEUED = 100;

export class Frames {
  #hooks = new Map(); // frame → hook id
  #waiting = new Map(); // frame → messages until it has loaded; null from then on
  #over = new Map(); // hook id → {panel, frame, before}
  #place;
  #say;

  /** *place*: where pages are shown over the post. *say(event)*: a `web_view` event for the host. */
  constructor(place, say) {
    this.#place = place;
    this.#say = say;
    addEventListener("message", this.#heard);
  }

  add(frame, hook) {
    if (!this.#hooks.has(frame)) {
      this.#waiting.set(frame, []);
      frame.addEventListener("load", () => {
        const messages = this.#waiting.get(frame) ?? [];
        this.#waiting.set(frame, null);
        for (const message of messages) post(frame, message);
      });
    }
    this.#hooks.set(frame, hook);
  }

  drop(frame) {
    this.#hooks.delete(frame);
    this.#waiting.delete(frame);
  }

  /** A `web_view` effect. */
  show({ hook, action, url, message }) {
    if (action === "mount") this.#mount(hook, pageAddress(url));
    else if (action === "unmount") this.#unmount(hook);
    else for (const [frame, id] of this.#hooks) if (id === hook || hook === "") this.#tell(frame, message);
  }

  close() {
    removeEventListener("message", this.#heard);
    for (const hook of [...this.#over.keys()]) this.#unmount(hook);
  }

  #mount(hook, address) {
    if (!address || this.#over.has(hook)) return;
    const frame = make("iframe", {
      class: "sg-webview",
      sandbox: "allow-scripts allow-forms",
      referrerpolicy: "no-referrer",
      title: "App page",
    });
    this.add(frame, hook);
    frame.src = address;
    const leave = make("button", { type: "button", class: "sg-leave", "aria-label": "Close the page" }, icon("close"));
    const panel = make("div", { class: "sg-over", role: "dialog", "aria-label": "App page" }, frame, leave);
    leave.addEventListener("click", () => this.#unmount(hook));
    panel.addEventListener("keydown", ({ key }) => key === "Escape" && this.#unmount(hook));
    this.#over.set(hook, { panel, frame, before: document.activeElement });
    this.#place.append(panel);
    leave.focus({ preventScroll: true });
    this.#say({ type: "web_view", hook, visible: true });
  }

  #unmount(hook) {
    const found = this.#over.get(hook);
    if (!found) return;
    this.#over.delete(hook);
    this.drop(found.frame);
    found.panel.remove();
    found.before?.focus?.({ preventScroll: true });
    this.#say({ type: "web_view", hook, visible: false });
  }

  #tell(frame, message) {
    const waiting = this.#waiting.get(frame);
    if (!waiting) post(frame, message);
    else if (waiting.push(message) > QUEUED) waiting.shift();
  }

  #heard = ({ source, data }) => {
    for (const [frame, hook] of this.#hooks)
      if (hook && frame.contentWindow === source) this.#say({ type: "web_view", hook, data: data ?? null });
  };
}

// The sandboxed page has an opaque origin, so no other target origin can be named; the frame itself is the address.
function post(frame, message) {
  frame.contentWindow?.postMessage({ type: "devvit-message", data: { message } }, "*");
}
