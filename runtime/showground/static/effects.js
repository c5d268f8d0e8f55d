// What apps want shown besides the post.

import { icon, make } from "./elements.js";
import { FormDialog } from "./forms.js";
import { linkAddress } from "./style.js";

const TOAST_MS = 5_000;
const TOASTS = 4;

export class Effects {
  #place;
  #toasts = make("div", { class: "sg-toasts", role: "status" });
  #form = null;
  #options;

  constructor(place, options) {
    this.#place = place;
    this.#options = options;
    place.append(this.#toasts);
  }

  show(effects) {
    for (const effect of effects) {
      const { type, id } = effect;
      if (type === "toast") this.toast(effect.text, effect.appearance);
      else if (type === "error") this.toast(effect.message, "error");
      else if (type === "navigate") this.#navigate(linkAddress(effect.url));
      else if (type === "form") this.#open(id, effect.form);
      else if (type === "form_errors" && this.#form?.id === id) this.#form.dialog.refuse(effect.errors);
      else if (type === "web_view") this.#options.webView?.(effect);
    }
  }

  toast(text, appearance, link) {
    const words = link ? make("a", { href: link.href, target: "_blank", rel: "noopener noreferrer" }, text) : text;
    const glyph = { success: "checkmark-fill", error: "warning-fill" }[appearance];
    const parts = [...(glyph ? [icon(glyph)] : []), make("span", { dir: "auto" }, words)];
    const toast = make("div", { class: "sg-toast", "data-appearance": appearance }, ...parts);
    this.#toasts.append(toast);
    if (this.#toasts.children.length > TOASTS) this.#toasts.firstChild.remove();
    let timer;
    const wait = () => (timer = setTimeout(() => toast.remove(), TOAST_MS * (glyph || link ? 2 : 1)));
    toast.onpointerenter = () => clearTimeout(timer);
    toast.onpointerleave = wait;
    wait();
  }

  settled(id, isRefused, message) {
    if (this.#form?.id !== id || !this.#form.dialog.sent) return;
    if (message) this.#form.dialog.refuse({}, message);
    else if (!isRefused) this.#close();
  }

  close() {
    this.#close();
    this.#toasts.remove();
  }

  #close() {
    this.#form?.dialog.close();
    this.#form = null;
  }

  #open(id, form) {
    this.#close();
    const cancelled = () => {
      this.#form = null;
      this.#options.onCancel?.(id);
    };
    const dialog = new FormDialog(form, this.#place, (values) => this.#options.onSubmit?.(id, values), cancelled);
    this.#form = { id, dialog };
  }

  // browsers open windows only for what somebody has just pressed
  #navigate(url) {
    if (!url || this.#options.navigate?.(url)) return;
    if (url.origin === location.origin && parent === window) location.assign(url);
    else if (navigator.userActivation?.isActive === false) this.toast(`Open ${url.host}`, "link", url);
    else make("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }).click();
  }
}

let page = null;
let handlers = {};
let refused = null;

/** Effects of menu items and their forms. A form closes once what `onSubmit` gave is settled, unless it rejects or `form_errors` came. */
export function showEffects(effects, options) {
  if (options) handlers = options;
  page ??= new Effects(document.body.appendChild(make("div", { class: "sg-page" })), {
    onSubmit: async (id, values) => {
      refused = null;
      try {
        await handlers.onSubmit?.(id, values);
        page.settled(id, refused === id);
      } catch {
        page.settled(id, true, "The host could not be reached. Try again.");
      }
    },
    onCancel: (id) => handlers.onCancel?.(id),
  });
  refused = effects.find(({ type }) => type === "form_errors")?.id ?? refused;
  page.show(effects);
}
