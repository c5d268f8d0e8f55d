// Blocks as HTML: the painter of patch.js. Choices become data attributes, which blocks.css draws.

import { avatar } from "./avatar.js";
import { button, icon, make, pageFrame, rename, set } from "./elements.js";
import { color, imageAddress, pageAddress, size } from "./style.js";

const stack = (kind) => () => make("div", { class: kind });
const MAKERS = {
  blocks: stack("sg-vstack sg-blocks"),
  hstack: stack("sg-hstack"),
  vstack: stack("sg-vstack"),
  zstack: stack("sg-zstack"),
  text: () => make("div", { class: "sg-text", dir: "auto" }),
  button: () => button(make("span", { class: "sg-caption", dir: "auto" })),
  image: () => make("img", { class: "sg-image", decoding: "async", referrerpolicy: "no-referrer" }),
  spacer: () => make("div", { class: "sg-spacer", "aria-hidden": "true" }),
  icon: () => make("span", { class: "sg-icon" }, icon("")),
  avatar: () => make("span", { class: "sg-avatar" }),
  webview: () => pageFrame("App page"),
};
const STACK = /stack$/;
const CHOICE = /^(gap|padding|border|corner_radius|reverse|size|weight|style|outline|wrap|overflow|selectable|appearance|resize_mode|shape|background|grow|disabled)$/;
const LENGTH = /^(min_|max_)?(width|height)$/;
const LOOKS = /color|width|height|weight|text/; // no name or role depends on them
const COLORS = { color: "color", text_color: "color", background_color: "background", border_color: "borderColor" };

export class Painter {
  #records = new WeakMap();
  #dirty = new Set();
  #texts = new Set();
  #frames;

  constructor(frames) {
    this.#frames = frames;
  }

  pressed(element) {
    return this.#records.get(element.closest("[data-press]"));
  }

  create(record) {
    const maker = Object.hasOwn(MAKERS, record.type) ? MAKERS[record.type] : () => make("span", { hidden: true });
    record.el = maker();
    this.#records.set(record.el, record);
    this.#dirty.add(record);
    this.update(record, Object.keys(record.attrs));
  }

  update(record, names) {
    const { el, attrs, type } = record;
    for (const name of names) {
      const value = attrs[name];
      if (!LOOKS.test(name)) this.#dirty.add(record);
      const css = name.replace("_", "-");
      if (CHOICE.test(name)) set(el, `data-${css}`, value !== undefined && /^[a-z-]+$/.test(value) && String(value));
      else if (LENGTH.test(name)) {
        const length = size(value);
        el.style.setProperty(css, length);
        set(el, `data-${css}`, length ? length.replace(/[\d.]+/, "") : null);
      } else if (Object.hasOwn(COLORS, name)) el.style[COLORS[name]] = color(value);
      else if (name === "alignment") {
        set(el, "data-y", /top|middle|bottom/.exec(value)?.[0]);
        set(el, "data-x", /start|center|end/.exec(value)?.[0]);
      } else if (name === "text" && (type === "text" || type === "button")) {
        const place = type === "text" ? el : el.lastChild;
        if (type === "text") this.#texts.add(record);
        if (value && place.firstChild) place.firstChild.data = value; // less work than another node
        else {
          place.textContent = value ?? "";
          this.#dirty.add(record);
        }
      } else if (name === "icon" && type === "button") {
        el.querySelector("svg")?.remove();
        if (value) el.prepend(icon(value));
      } else if (name === "name" && type === "icon") rename(el.firstChild, value);
      else if (name === "url" && type === "image") set(el, "src", imageAddress(value) || null);
      else if (name.startsWith("image_")) {
        set(el, name.slice(6), Number(value) || null);
        el.style.setProperty("--sg-ratio", `${Number(attrs.image_width) || 1}/${Number(attrs.image_height) || 1}`);
      } else if (name === "url" && type === "webview") set(el, "src", pageAddress(value) || null);
    }
    if (type === "avatar") el.replaceChildren(avatar(attrs.thing_id, attrs.facing));
    if (type === "webview") this.#frames.add(el, attrs.hook);
  }

  insert(parent, { el }, next) {
    const before = next?.el ?? null;
    // moveBefore keeps focus and frames alive where browsers have it
    if (el.isConnected && parent.el.isConnected && parent.el.moveBefore) parent.el.moveBefore(el, before);
    else parent.el.insertBefore(el, before);
    this.#dirty.add(parent);
  }

  remove(record) {
    this.#forget(record);
    record.el.remove();
    this.#dirty.add(record.parent);
  }

  replace(old, record) {
    this.#forget(old);
    old.el.replaceWith(record.el);
    this.#dirty.add(record);
  }

  /** After a change. Returns the records whose text is another. */
  settle() {
    const seen = new Set();
    for (const record of this.#dirty)
      for (let at = record; at && !seen.has(at); at = at.parent) {
        seen.add(at);
        this.#name(at);
      }
    this.#dirty.clear();
    const texts = this.#texts;
    this.#texts = new Set();
    return texts;
  }

  // what hangs on the blocks within: role, name, and the layers of a zstack
  #name({ type, attrs, el, children }) {
    const press = typeof attrs.press === "string" && !attrs.disabled;
    const { label } = attrs;
    set(el, "data-press", press);
    if (type === "zstack") children.forEach((child, i) => (child.el.style.zIndex = attrs.reverse ? children.length - i : ""));
    if (type === "button") {
      set(el, "aria-disabled", !press && "true");
      set(el, "aria-label", label || (!attrs.text && spoken(attrs.icon)));
      el.classList.toggle("sg-round", !attrs.text);
    } else if (type === "webview") set(el, "title", label || "App page");
    else if (type !== "spacer" && type !== "blocks") {
      const isStack = STACK.test(type);
      const isHeading = type === "text" && attrs.style === "heading";
      const isOuter = isStack && find(children, (inner) => inner.attrs.press || inner.type === "webview");
      const silent = press && !find([{ attrs, children }], ({ attrs }) => attrs.text || attrs.description || attrs.label);
      let role = isHeading && "heading";
      if (press) role = isOuter ? "group" : "button";
      else if (label && isStack) role = "group";
      else if (label && (type === "icon" || type === "avatar")) role = "img";
      set(el, "role", role);
      set(el, "tabindex", press && "0");
      set(el, "aria-level", role === "heading" && "2");
      if (type === "image") set(el, "alt", label || attrs.description || (press ? "Image" : ""));
      else set(el, "aria-label", role && (label || (silent && spoken(find([{ type, attrs, children }], ({ type }) => type === "icon")?.attrs.name))));
    }
  }

  #forget(record) {
    if (record.type === "webview") this.#frames.drop(record.el);
    record.children.forEach((child) => this.#forget(child));
  }
}

function find(records, wanted) {
  for (const record of records) {
    const found = wanted(record) ? record : find(record.children, wanted);
    if (found) return found;
  }
  return null;
}

function spoken(name = "press") {
  return name.replace(/-(fill|outline)$/, "").replaceAll("-", " ");
}
