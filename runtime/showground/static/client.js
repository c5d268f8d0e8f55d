// The browser side of live posts. Mounts every `[data-showground-view]` of the page, also those that come later.

import { View } from "./view.js";

export { showEffects } from "./effects.js";

const views = new WeakMap();
const embedded = document.body?.classList.contains("sg-embed") && parent !== window;
let site = null; // the page around us, once it has spoken: {source, origin}
let ticketCame = null;

/** Bring the live post in *element* to life. Mounting it again does nothing. */
export function mount(element) {
  if (views.has(element)) return;
  let paint;
  try {
    paint = JSON.parse(element.querySelector("script[type='application/json']").textContent);
  } catch {
    return; // nothing to mount
  }
  views.set(element, new View(element, paint, embedded ? { askTicket, navigate } : {}));
  if (embedded) say({ type: "ready", height: Number(element.dataset.height) || 320 }, "*");
}

/** Let go of the live post in *element*. */
export function unmount(element) {
  views.get(element)?.close();
  views.delete(element);
}

// --- a post within another site's page (embed.js) ---

function say(message, origin) {
  (site?.source ?? parent).postMessage({ showground: message }, site?.origin ?? origin);
}

function navigate(url) {
  if (site) say({ type: "navigate", url: url.href });
  return site !== null;
}

function askTicket() {
  if (!site) return null;
  return new Promise((resolve) => {
    ticketCame = resolve;
    setTimeout(() => resolve(null), 10_000);
    say({ type: "ticket" });
  });
}

addEventListener("message", ({ source, origin, data }) => {
  const message = data?.showground;
  if (!embedded || source !== parent || typeof message?.type !== "string") return;
  site = { source, origin };
  if (message.type === "theme") document.documentElement.dataset.theme = /^(light|dark)$/.test(message.theme) ? message.theme : "auto";
  else if (message.type === "ticket") ticketCame?.(typeof message.ticket === "string" ? message.ticket : null);
});

const SELECTOR = "[data-showground-view]";
document.querySelectorAll(SELECTOR).forEach(mount);
new MutationObserver((changes) => {
  for (const { addedNodes, removedNodes } of changes) {
    for (const node of removedNodes)
      if (node.nodeType === 1 && !node.isConnected) [node, ...node.querySelectorAll(SELECTOR)].forEach(unmount);
    for (const node of addedNodes)
      if (node.nodeType === 1) [...(node.matches(SELECTOR) ? [node] : []), ...node.querySelectorAll(SELECTOR)].forEach(mount);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
