// Mounts every live post of the page, also those that come later.

import { View } from "./view.js";

export { showEffects } from "./effects.js";

const SELECTOR = "[data-showground-view]";
const views = new Map();

export function mount(element) {
  const paint = element.querySelector("script[type='application/json']");
  if (views.has(element) || !paint) return;
  views.set(element, new View(element, JSON.parse(paint.textContent), isEmbedded ? { askTicket, navigate } : {}));
  if (isEmbedded) say({ type: "ready", height: Number(element.dataset.height) }, "*");
}

function look() {
  for (const [element, view] of views)
    if (!element.isConnected) {
      view.close();
      views.delete(element);
    }
  document.querySelectorAll(SELECTOR).forEach(mount);
}

// --- a post within another site's page (embed.js) ---

const isEmbedded = parent !== window && document.body.classList.contains("sg-embed");
let site = null; // its origin, once it has spoken
let ticketCame;

function say(message, origin = site) {
  parent.postMessage({ showground: message }, origin);
}

function navigate({ href }) {
  if (site) say({ type: "navigate", url: href });
  return site;
}

function askTicket() {
  if (!site) return null;
  say({ type: "ticket" });
  return new Promise((resolve) => {
    ticketCame = resolve;
    setTimeout(resolve, 10_000);
  });
}

addEventListener("message", ({ source, origin, data }) => {
  const { type, theme, ticket } = data?.showground ?? {};
  if (!isEmbedded || source !== parent || !type || origin === "null") return;
  site = origin;
  if (type === "theme") document.documentElement.dataset.theme = theme;
  else if (type === "ticket") ticketCame?.(ticket);
});

look();
new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
