// What apps want shown besides the post: toasts, forms, links, web views, errors.

import { icon, make } from "./elements.js";
import { FormDialog } from "./forms.js";
import { linkAddress } from "./style.js";

const TOAST_MS = 5_000;
const TOASTS = 4;

/** Shows effects in one place: a post, or the page. */
export class Effects {
  #place;
  #toasts;
  #forms = new Map(); // id → FormDialog
  #options;

  /** options: onSubmit(form id, values), onCancel(form id), navigate(url), webView(effect); all may be left out. */
  constructor(place, options = {}) {
    this.#place = place;
    this.#options = options;
    this.#toasts = make("div", { class: "sg-toasts", role: "status" });
    place.append(this.#toasts);
  }

  show(effects) {
    for (const effect of effects ?? []) {
      if (effect.type === "toast") this.toast(effect.text, effect.appearance === "success" ? "success" : "neutral");
      else if (effect.type === "error") this.toast(effect.message || "That did not work.", "error");
      else if (effect.type === "navigate") this.#navigate(effect.url);
      else if (effect.type === "form") this.#form(effect);
      else if (effect.type === "form_errors") this.#forms.get(effect.id)?.refuse(effect.errors);
      else if (effect.type === "web_view") this.#options.webView?.(effect);
    }
  }

  toast(text, appearance, link = null) {
    const words = link ? make("a", { href: link.href, target: "_blank", rel: "noopener noreferrer" }, text) : text;
    const mark = appearance === "neutral" ? [] : [icon(appearance === "success" ? "checkmark-fill" : "warning-fill")];
    const toast = make("div", { class: "sg-toast", "data-appearance": appearance }, ...mark, make("span", { dir: "auto" }, words));
    this.#toasts.append(toast);
    while (this.#toasts.children.length > TOASTS) this.#toasts.firstChild.remove();
    let timer = 0;
    const wait = () => (timer = setTimeout(() => toast.remove(), appearance === "neutral" && !link ? TOAST_MS : 2 * TOAST_MS));
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", wait);
    if (link) toast.addEventListener("click", () => toast.remove());
    wait();
  }

  /** What became of the submission of a form: close it unless it was refused. *message*: the app failed. */
  settled(id, refused, message = "") {
    const form = this.#forms.get(id);
    if (!form?.sent) return;
    if (message) form.refuse({}, message);
    else if (!refused) {
      form.close();
      this.#forms.delete(id);
    }
  }

  close() {
    for (const form of this.#forms.values()) form.close();
    this.#forms.clear();
    this.#toasts.remove();
  }

  #form({ id, form }) {
    for (const [other, dialog] of this.#forms) {
      dialog.close();
      this.#forms.delete(other);
    }
    const dialog = new FormDialog(form ?? {}, this.#place, {
      submit: (values) => this.#options.onSubmit?.(id, values),
      cancelled: () => {
        this.#forms.delete(id);
        this.#options.onCancel?.(id);
      },
    });
    this.#forms.set(id, dialog);
  }

  // A browser opens windows only for what somebody has just pressed; otherwise the viewer gets a link to press.
  #navigate(address) {
    const url = linkAddress(address);
    if (!url) return;
    if (this.#options.navigate?.(url)) return;
    if (url.origin === location.origin && parent === window) {
      location.assign(url);
      return;
    }
    if (navigator.userActivation?.isActive === false) this.toast(`Open ${url.host}`, "neutral", url);
    else make("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }).click();
  }
}

let page = null;
let handlers = {};

/**
 * Show effects outside of a post: those of menu items and of forms that follow. `onSubmit(form id, values)` may return a
 * promise; when it is settled, the form closes unless `form_errors` were shown meanwhile. It stays open when that promise rejects.
 * Without handlers those of the last call stay.
 */
export function showEffects(effects, options) {
  if (options) handlers = options;
  page ??= new Effects(document.body.appendChild(make("div", { class: "sg-page" })), {
    onSubmit: async (id, values) => {
      refused.delete(id);
      try {
        await handlers.onSubmit?.(id, values);
        page.settled(id, refused.has(id));
      } catch {
        page.settled(id, true, "The host could not be reached. Try again.");
      }
    },
    onCancel: (id) => handlers.onCancel?.(id),
  });
  for (const effect of effects ?? []) if (effect.type === "form_errors") refused.add(effect.id);
  page.show(effects);
}

const refused = new Set();
