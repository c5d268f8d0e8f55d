// Making elements. Text goes in as text nodes only; nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (undefined, null and false leave one out) and children (elements or strings). */
export function make(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function draw(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const name in attributes) set(element, name, attributes[name]);
  element.append(...children);
  return element;
}

/** Set an attribute, or take it away when the value is undefined, null or false. */
export function set(element, name, value) {
  if (value === undefined || value === null || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : value);
}

const SPRITE = new URL("icons.svg", import.meta.url).pathname;
const ICON = /^[a-z0-9-]+$/;

/** An icon by Devvit's name. The sprite is loaded when the first one is drawn; an unknown name stays an empty square. */
export function icon(name) {
  const use = draw("use");
  const svg = draw("svg", { "aria-hidden": "true", focusable: "false", class: "sg-glyph", viewBox: "0 0 256 256" }, use);
  rename(svg, name);
  return svg;
}

/** Show another icon in *svg*. */
export function rename(svg, name) {
  const id = ICON.test(name) ? String(name).replace(/-outline$/, "") : "";
  set(svg.firstChild, "href", id && `${SPRITE}#${id}`);
}
