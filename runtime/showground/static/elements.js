// Making elements. Text goes in as text nodes only; nothing here parses markup.

export function make(tag, attributes, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

export function button(text, attributes) {
  return make("button", { type: "button", class: "sg-button", ...attributes }, text);
}

/** It may run scripts, as an origin of its own. */
export function pageFrame(title) {
  return make("iframe", { class: "sg-webview", sandbox: "allow-scripts allow-forms", referrerpolicy: "no-referrer", title });
}

/** Set an attribute, or take it away when the value is undefined, null or false. */
export function set(element, name, value) {
  const text = value === true ? "" : value;
  if (text === undefined || text === null || text === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(text)) element.setAttribute(name, text);
}

function dress(element, attributes, children) {
  for (const name in attributes) set(element, name, attributes[name]);
  element.append(...children);
  return element;
}

const SPRITE = new URL("icons.svg", import.meta.url).pathname;

export function icon(name) {
  const svg = draw("svg", { "aria-hidden": "true", class: "sg-glyph", viewBox: "0 0 256 256" }, draw("use"));
  rename(svg, name);
  return svg;
}

export function rename(svg, name) {
  set(svg.firstChild, "href", /^[a-z\d-]+$/.test(name ?? "") && `${SPRITE}#${name.replace(/-outline$/, "")}`);
}
