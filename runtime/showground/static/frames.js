// Pages of apps in sandboxed frames: web view blocks, and pages over the post.

import { icon, make, pageFrame } from "./elements.js";
import { pageAddress } from "./style.js";

const QUEUED = 100;

export class Frames {
  #frames = new Map(); // frame → {hook, waiting: messages until it has loaded}
  #over = new Map(); // hook → {panel, frame, before}
  #place;
  #say;

  constructor(place, say) {
    this.#place = place;
    this.#say = say;
    addEventListener("message", this.#heard);
  }

  add(frame, hook) {
    const known = this.#frames.get(frame);
    if (known) known.hook = hook;
    else {
      const entry = { hook, waiting: [] };
      this.#frames.set(frame, entry);
      frame.onload = () => {
        entry.waiting?.forEach((message) => post(frame, message));
        entry.waiting = null;
      };
    }
  }

  drop(frame) {
    this.#frames.delete(frame);
  }

  show({ hook, action, url, message }) {
    if (action === "mount") this.#mount(hook, pageAddress(url));
    else if (action === "unmount") this.#unmount(hook);
    else
      for (const [frame, entry] of this.#frames) {
        if (hook && hook !== entry.hook) continue;
        if (!entry.waiting) post(frame, message);
        else if (entry.waiting.length < QUEUED) entry.waiting.push(message);
      }
  }

  close() {
    removeEventListener("message", this.#heard);
  }

  #mount(hook, address) {
    if (!address || this.#over.has(hook)) return;
    const frame = pageFrame("App page");
    this.add(frame, hook);
    frame.src = address;
    const leave = make("button", { type: "button", class: "sg-leave", "aria-label": "Close the page" }, icon("close"));
    const panel = make("div", { class: "sg-over", role: "dialog", "aria-label": "App page" }, frame, leave);
    leave.onclick = () => this.#unmount(hook);
    panel.onkeydown = ({ key }) => key === "Escape" && this.#unmount(hook);
    this.#over.set(hook, { panel, frame, before: document.activeElement });
    this.#place.append(panel);
    leave.focus();
    this.#say({ type: "web_view", hook, visible: true });
  }

  #unmount(hook) {
    const { panel, frame, before } = this.#over.get(hook) ?? {};
    if (!panel) return;
    this.#over.delete(hook);
    this.drop(frame);
    panel.remove();
    before.focus();
    this.#say({ type: "web_view", hook, visible: false });
  }

  #heard = ({ source, data }) => {
    for (const [frame, { hook }] of this.#frames)
      if (hook && frame.contentWindow === source) this.#say({ type: "web_view", hook, data: data ?? null });
  };
}

// a sandboxed page has an opaque origin, which cannot be named
function post(frame, message) {
  frame.contentWindow?.postMessage({ type: "devvit-message", data: { message } }, "*");
}
