// Blocks as HTML: the painter of patch.js. Choices such as sizes become data attributes that blocks.css draws.

import { avatar } from "./avatar.js";
import { icon, make, rename, set } from "./elements.js";
import { color, imageAddress, pageAddress, size } from "./style.js";

const STACKS = { blocks: "sg-vstack sg-blocks", hstack: "sg-hstack", vstack: "sg-vstack", zstack: "sg-zstack" };
const CHOICES = new Set(
  ("gap padding border corner_radius reverse size weight style outline wrap overflow selectable appearance resize_mode shape " +
    "background grow disabled").split(" "),
);
const SIZES = new Set(["width", "height", "min_width", "min_height", "max_width", "max_height"]);
const COLORS = { color: "color", text_color: "color", background_color: "background", border_color: "borderColor" };
const NAMING = new Set(["text", "label", "press", "description", "icon", "name", "disabled", "style"]);

export class Painter {
  #records = new WeakMap();
  #dirty = new Set();
  #texts = new Set();
  #frames;

  /** *frames*: told of the pages of web view blocks, `add(element, hook)` and `drop(element)`. */
  constructor(frames) {
    this.#frames = frames;
  }

  /** The record that an element within the post belongs to, when it can be pressed. */
  pressed(element) {
    const found = element.closest?.("[data-press]");
    return found && this.#records.get(found);
  }

  create(record) {
    const { type } = record;
    record.el =
      type in STACKS
        ? make("div", { class: STACKS[type] })
        : type === "text"
          ? make("div", { class: "sg-text", dir: "auto" })
          : type === "button"
            ? make("button", { class: "sg-button", type: "button" }, make("span", { class: "sg-caption", dir: "auto" }))
            : type === "image"
              ? make("img", { class: "sg-image", decoding: "async", referrerpolicy: "no-referrer" })
              : type === "spacer"
                ? make("div", { class: "sg-spacer", "aria-hidden": "true" })
                : type === "icon"
                  ? make("span", { class: "sg-icon" }, icon(""))
                  : type === "avatar"
                    ? make("span", { class: "sg-avatar" })
                    : type === "webview"
                      ? make("iframe", { class: "sg-webview", sandbox: "allow-scripts allow-forms", referrerpolicy: "no-referrer" })
                      : make("span", { hidden: true });
    this.#records.set(record.el, record);
    this.update(record, Object.keys(record.attrs));
    this.#dirty.add(record);
  }

  update(record, names) {
    const { el, attrs, type } = record;
    for (const name of names) {
      const value = attrs[name];
      if (CHOICES.has(name)) {
        const shown = value === true || value === false || /^[a-z-]+$/.test(value) ? value : undefined;
        set(el, `data-${name.replace("_", "-")}`, shown === false ? "false" : shown);
        if (name === "reverse") this.#layer(record);
      } else if (SIZES.has(name)) {
        const length = size(value);
        el.style.setProperty(name.replace("_", "-"), length);
        set(el, `data-${name.replace("_", "-")}`, length ? (length.endsWith("%") ? "%" : "px") : null);
      } else if (name in COLORS) el.style[COLORS[name]] = color(value);
      else if (name === "alignment") {
        const words = String(value ?? "").split(" ");
        set(el, "data-y", words.find((word) => /^(top|middle|bottom)$/.test(word)));
        set(el, "data-x", words.find((word) => /^(start|center|end)$/.test(word)));
      } else if (name === "text" && type === "text") el.textContent = value ?? "";
      else if (name === "text" && type === "button") el.lastChild.textContent = value ?? "";
      else if (name === "icon" && type === "button") this.#buttonIcon(el, value);
      else if (name === "name" && type === "icon") rename(el.firstChild, value);
      else if (type === "image") this.#image(el, name, value, attrs);
      else if (type === "avatar") this.#face(el, attrs);
      else if (type === "webview" && (name === "url" || name === "hook")) this.#page(el, name, attrs);
      if (NAMING.has(name)) this.#dirty.add(record);
      if (name === "text" && type === "text") this.#texts.add(record);
    }
  }

  insert(parent, child, next) {
    const before = next?.el ?? null;
    // moveBefore keeps focus and frames alive where browsers have it
    if (child.el.isConnected && parent.el.isConnected && parent.el.moveBefore) parent.el.moveBefore(child.el, before);
    else parent.el.insertBefore(child.el, before);
    this.#layer(parent);
    this.#dirty.add(parent);
  }

  remove(record) {
    this.#forget(record);
    record.el.remove();
    if (record.parent) this.#dirty.add(record.parent);
  }

  replace(old, record) {
    this.#forget(old);
    old.el.replaceWith(record.el);
    if (record.parent) this.#layer(record.parent);
    this.#dirty.add(record);
  }

  /** After a change: roles and names, which hang on what is within. Returns the records whose text changed. */
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

  #name(record) {
    const { type, attrs, el } = record;
    const press = typeof attrs.press === "string" && !attrs.disabled;
    set(el, "data-press", press);
    if (type === "button") {
      set(el, "aria-disabled", press ? null : "true");
      set(el, "aria-label", attrs.label || (attrs.text ? null : spoken(attrs.icon)));
      el.classList.toggle("sg-round", !attrs.text);
      return;
    }
    if (type === "webview") set(el, "title", attrs.label || "App page");
    if (type === "image") set(el, "alt", attrs.label || attrs.description || (press ? "Image" : ""));
    if (type === "spacer" || type === "webview" || type === "blocks") return;
    set(el, "tabindex", press ? "0" : null);
    const heading = type === "text" && attrs.style === "heading" && !press;
    const nested = press && record.children.some((child) => find(child, ({ type, attrs }) => attrs.press || type === "webview"));
    const picture = !press && attrs.label && type !== "text" && type !== "image" && !(type in STACKS);
    const role = press ? (nested ? "group" : "button") : heading ? "heading" : picture ? "img" : attrs.label && type in STACKS ? "group" : null;
    set(el, "role", role);
    set(el, "aria-level", heading && "2");
    if (type !== "image") set(el, "aria-label", role ? attrs.label || (press && !said(record) ? guess(record) : null) : null);
  }

  #buttonIcon(el, name) {
    const old = el.querySelector("svg");
    if (!name) old?.remove();
    else if (old) rename(old, name);
    else el.prepend(icon(name));
  }

  #image(el, name, value, attrs) {
    if (name === "url") {
      const address = imageAddress(value);
      set(el, "src", address || null);
    }
    if (name === "image_width" || name === "image_height") {
      set(el, name.slice(6), Number(value) > 0 ? Math.round(value) : null);
      el.style.setProperty("--sg-ratio", `${Number(attrs.image_width) || 1} / ${Number(attrs.image_height) || 1}`);
    }
  }

  #face(el, { thing_id, facing }) {
    el.replaceChildren(avatar(thing_id, facing));
  }

  #page(el, name, { url, hook }) {
    if (name === "url") set(el, "src", pageAddress(url) || null);
    this.#frames.add(el, hook ?? "");
  }

  // In a reversed zstack the first child is in front.
  #layer(record) {
    if (record.type !== "zstack") return;
    const { children, attrs } = record;
    children.forEach((child, i) => (child.el.style.zIndex = attrs.reverse ? children.length - i : ""));
  }

  #forget(record) {
    if (record.type === "webview") this.#frames.drop(record.el);
    record.children.forEach((child) => this.#forget(child));
  }
}

// Whether a screen reader finds something to say within.
function said({ attrs, children }) {
  return Boolean(attrs.text || attrs.description || attrs.label) || children.some(said);
}

function guess(record) {
  const named = find(record, ({ type, attrs }) => type === "icon" && attrs.name);
  return named ? spoken(named.attrs.name) : "Press";
}

function find(record, wanted) {
  if (wanted(record)) return record;
  for (const child of record.children) {
    const found = find(child, wanted);
    if (found) return found;
  }
  return null;
}

function spoken(iconName) {
  const words = String(iconName ?? "").replace(/-(fill|outline)$/, "").replaceAll("-", " ");
  return words || "Button";
}
