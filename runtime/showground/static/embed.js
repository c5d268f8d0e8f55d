// <showground-post post="t3_…"> for pages of other sites: a live post in a sandboxed frame. See docs/embedding.md.
//
// Attributes: post (needed), theme (light, dark, auto), ticket (a viewer ticket from the site's back end), ticket-url (an address of
// the site that answers with one, as text; asked again whenever the frame needs a fresh one), height (pixels, until the post says).
// Events: "showground-ready", and "showground-navigate" with `detail.url`, cancelable, when an app wants to lead somewhere.

const host = new URL(import.meta.url).origin;
const SANDBOX = "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox";

class ShowgroundPost extends HTMLElement {
  static observedAttributes = ["post", "theme", "ticket"];
  #frame;
  #listen = (event) => this.#hear(event);

  connectedCallback() {
    window.addEventListener("message", this.#listen);
    this.#load();
  }

  disconnectedCallback() {
    window.removeEventListener("message", this.#listen);
  }

  attributeChangedCallback(name, before, after) {
    if (!this.#frame || before === after) return;
    if (name === "theme") this.#say({ type: "theme", theme: after ?? "auto" });
    else this.#load();
  }

  async #load() {
    const post = this.getAttribute("post");
    if (!/^t3_\w+$/.test(post ?? "")) {
      console.error(`<showground-post>: ${JSON.stringify(post)} is not a post id; write post="t3_…"`);
      return;
    }
    const address = new URL(`/embed/${post}`, host);
    address.searchParams.set("theme", this.getAttribute("theme") ?? "auto");
    const ticket = await this.#ticket();
    if (ticket) address.searchParams.set("ticket", ticket);
    if (!this.isConnected) return;
    const frame = document.createElement("iframe");
    frame.title = this.getAttribute("title") ?? "Live post";
    frame.setAttribute("sandbox", SANDBOX);
    frame.referrerPolicy = "no-referrer";
    frame.loading = "lazy";
    frame.style.cssText = "display:block;width:100%;border:0;color-scheme:auto";
    frame.style.height = `${Number(this.getAttribute("height")) || 320}px`;
    frame.src = address.href;
    this.style.display ||= "block";
    this.#frame = frame;
    this.replaceChildren(frame);
  }

  async #ticket() {
    const address = this.getAttribute("ticket-url");
    if (!address) return this.getAttribute("ticket");
    try {
      const answer = await fetch(address, { credentials: "same-origin" });
      return answer.ok ? (await answer.text()).trim() : null;
    } catch {
      return null; // shown as to somebody who is not signed in, rather than not at all
    }
  }

  async #hear(event) {
    if (event.origin !== host || event.source !== this.#frame?.contentWindow) return;
    const { type, height, url } = event.data?.showground ?? {};
    if (type === "ready") {
      if (Number.isFinite(height)) this.#frame.style.height = `${Math.min(Math.max(height, 40), 2000)}px`;
      // tells the frame that links and tickets go through this page; and the theme may have changed while it was loading
      this.#say({ type: "theme", theme: this.getAttribute("theme") ?? "auto" });
      this.dispatchEvent(new CustomEvent("showground-ready", { bubbles: true }));
    } else if (type === "navigate" && /^https?:/.test(url ?? "")) {
      const led = new CustomEvent("showground-navigate", { bubbles: true, cancelable: true, detail: { url } });
      if (this.dispatchEvent(led)) window.open(url, "_blank", "noopener");
    } else if (type === "ticket") {
      this.#say({ type: "ticket", ticket: await this.#ticket() });
    }
  }

  #say(message) {
    this.#frame?.contentWindow?.postMessage({ showground: message }, host);
  }
}

customElements.define("showground-post", ShowgroundPost);
