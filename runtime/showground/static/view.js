// One live post on a page: what the host says becomes what is seen, and what the viewer does reaches the host once.

import { Announcer } from "./announcer.js";
import { Painter } from "./blocks.js";
import { Connection } from "./connection.js";
import { Effects } from "./effects.js";
import { make, set } from "./elements.js";
import { Frames } from "./frames.js";
import { apply, build, reconcile } from "./patch.js";
import { surroundings, watch } from "./surroundings.js";
import { Timers } from "./timers.js";

const PENDING = 64;

export class View {
  #element;
  #stage = make("div", { class: "sg-stage" });
  #status = make("div", { class: "sg-status", role: "status" });
  #post;
  #ticket;
  #askTicket;
  #view = null;
  #resume = null;
  #rev = 0;
  #seq = 0;
  #pending = new Map(); // seq → {event, record}
  #root = null;
  #refreshing = false;
  #painter;
  #frames;
  #effects;
  #announcer;
  #timers;
  #connection;
  #unwatch;
  #statusTimer = 0;
  #farewell = "";

  /** *paint*: what the page carries. options: askTicket() → promise of a fresh ticket; navigate(url) → true when it was seen to. */
  constructor(element, paint, { askTicket, navigate } = {}) {
    this.#element = element;
    this.#post = paint.post;
    this.#ticket = paint.ticket ?? null;
    this.#askTicket = askTicket;
    this.#frames = new Frames(element, (event) => this.#do(event));
    this.#painter = new Painter(this.#frames);
    element.replaceChildren(this.#stage, this.#status);
    this.#effects = new Effects(element, {
      navigate,
      onSubmit: (form, data) => this.#do({ type: "form_submitted", form, data }),
      onCancel: (form) => this.#do({ type: "form_cancelled", form }),
      webView: (effect) => this.#frames.show(effect),
    });
    this.#announcer = new Announcer(element);
    this.#timers = new Timers((hook) => this.#tick(hook));
    this.#stage.addEventListener("click", (event) => this.#click(event));
    this.#stage.addEventListener("keydown", (event) => this.#key(event));
    this.#connection = new Connection(this.#post, this);
    this.#take(paint);
    if (!paint.tree) this.#stage.append(skeleton());
    this.#unwatch = watch(element, (env) => this.#connection.send({ type: "env", env }));
    this.#connection.open();
  }

  close() {
    this.#unwatch();
    this.#timers.close();
    this.#frames.close();
    this.#effects.close();
    this.#announcer.close();
    this.#connection.close();
    clearTimeout(this.#statusTimer);
  }

  // --- what the connection asks ---

  hello() {
    const message = { type: "hello", post: this.#post, env: surroundings(this.#element) };
    // A view is taken up with its own pass; the ticket, which may have expired, only begins one.
    if (this.#view) return { ...message, view: this.#view, resume: this.#resume, rev: this.#root ? this.#rev : -1 };
    return this.#ticket ? { ...message, ticket: this.#ticket } : message;
  }

  pass() {
    return { view: this.#view, resume: this.#resume };
  }

  changed(state) {
    this.#timers.pause(state !== "open");
    clearTimeout(this.#statusTimer);
    if (state === "open") this.#say("");
    else if (state === "offline") this.#say("You are offline. What you do is kept.");
    // a short break is nobody's business
    else if (state === "lost") this.#statusTimer = setTimeout(() => this.#say("Reconnecting…"), 600);
    else if (state === "over") this.#over();
  }

  received(message) {
    if (message.type === "welcome") this.#welcome(message);
    else if (message.type === "update") this.#update(message);
    else if (message.type === "error") this.#farewell = message.error?.message ?? "";
    else if (message.type === "bye") {
      this.#farewell = message.reason ?? "";
      this.#connection.dismissed(message.retry_after);
    }
  }

  // --- what the host says ---

  #welcome(message) {
    const asked = this.#view;
    if (asked && !message.resumed && this.#ticket) {
      // The old view is gone, and without the ticket this one would be a stranger's.
      this.#view = null;
      this.#renew();
      return;
    }
    const lost = asked !== null && asked !== message.view && this.#pending.size > 0;
    if (asked !== message.view) {
      for (const seq of this.#pending.keys()) this.#settle(seq);
      this.#seq = 0;
    }
    this.#seq = Math.max(this.#seq, message.ack ?? 0);
    this.#refreshing = false;
    this.#connection.welcomed();
    this.#take(message);
    if (lost) this.#effects.toast("The post was started afresh. Please do that again.", "error");
    for (const [seq, { event }] of this.#pending) this.#connection.send({ type: "event", seq, event });
  }

  async #renew() {
    this.#ticket = (await this.#askTicket?.()) || this.#ticket;
    this.#connection.open();
  }

  #update(message) {
    const error = message.effects?.find((effect) => effect.type === "error")?.message;
    const refused = new Set(message.effects?.filter((effect) => effect.type === "form_errors").map((effect) => effect.id));
    const quiet = this.#onlyTicks(message.ack);
    this.#effects.show(message.effects);
    this.#take(message, quiet, refused, error);
  }

  // Whatever a message says about the view: paint, welcome or update.
  #take(message, quiet = true, refused = new Set(), error = "") {
    if (message.view) [this.#view, this.#resume] = [message.view, message.resume];
    if (message.tree) this.#show(message.tree, quiet);
    else if (message.patch && !this.#refreshing) {
      if (message.base === this.#rev && this.#root) this.#patch(message.patch, quiet);
      else this.#refresh();
    }
    if (message.rev !== undefined) this.#rev = message.rev;
    if (message.intervals) this.#timers.want(message.intervals);
    for (const [seq, { event }] of this.#pending)
      if (seq <= (message.ack ?? 0)) {
        this.#settle(seq);
        if (event.type === "form_submitted") this.#effects.settled(event.form, refused.has(event.form), error);
      }
  }

  #show(tree, quiet) {
    this.#refreshing = false;
    this.#keepingFocus(quiet, () => {
      if (this.#root) this.#root = reconcile(this.#root, tree, this.#painter);
      else {
        this.#root = build(tree, this.#painter);
        this.#stage.replaceChildren(this.#root.el);
      }
    });
    set(this.#element, "aria-busy", null);
  }

  #patch(operations, quiet) {
    try {
      this.#keepingFocus(quiet, () => (this.#root = apply(this.#root, operations, this.#painter)));
    } catch (error) {
      console.warn("showground: a patch did not fit;", error);
      this.#refresh();
    }
  }

  #refresh() {
    if (this.#refreshing) return;
    this.#refreshing = true;
    this.#connection.send({ type: "refresh" });
  }

  #keepingFocus(quiet, change) {
    const before = document.activeElement;
    const within = before !== this.#stage && this.#stage.contains(before);
    change();
    const texts = this.#painter.settle();
    if (!quiet) this.#announcer.changed(texts);
    if (!within || document.activeElement === before) return;
    if (before.isConnected) before.focus({ preventScroll: true });
    else {
      this.#stage.tabIndex = -1;
      this.#stage.focus({ preventScroll: true });
    }
  }

  // --- what the viewer does ---

  #click(event) {
    const record = this.#painter.pressed(event.target);
    if (record) this.#press(record);
  }

  #key(event) {
    if (event.key !== "Enter" && event.key !== " ") return;
    const record = this.#painter.pressed(event.target);
    if (!record || record.el !== event.target || record.type === "button") return; // real buttons click by themselves
    event.preventDefault();
    if (!event.repeat) this.#press(record);
  }

  #press(record) {
    this.#do({ type: "press", action: record.attrs.press }, record);
  }

  #tick(hook) {
    for (const { event } of this.#pending.values()) if (event.type === "interval" && event.hook === hook) return;
    this.#do({ type: "interval", hook });
  }

  #do(event, record = null) {
    if (this.#pending.size >= PENDING) {
      this.#effects.toast("Too much is waiting for the host. Please wait a moment.", "error");
      return;
    }
    const seq = ++this.#seq;
    this.#pending.set(seq, { event, record });
    if (record) record.el.ariaBusy = "true";
    this.#connection.send({ type: "event", seq, event });
  }

  #settle(seq) {
    const { record } = this.#pending.get(seq);
    this.#pending.delete(seq);
    if (record && ![...this.#pending.values()].some((other) => other.record === record)) record.el.ariaBusy = null;
  }

  #onlyTicks(ack) {
    const done = [...this.#pending].filter(([seq]) => seq <= (ack ?? 0));
    return done.length > 0 && done.every(([, { event }]) => event.type === "interval");
  }

  // --- how it stands ---

  #say(text, ...more) {
    set(this.#element, "data-connection", text ? "lost" : null);
    this.#status.replaceChildren(...(text ? [make("span", {}, text), ...more] : []));
  }

  #over() {
    const elsewhere = this.#farewell === "continued elsewhere";
    const again = make("button", { type: "button", class: "sg-button", "data-size": "small" }, elsewhere ? "Continue here" : "Try again");
    again.addEventListener("click", () => {
      this.#say("");
      if (!elsewhere && this.#ticket) this.#renew();
      else this.#connection.open();
    });
    const reason = elsewhere ? "This post goes on in another window." : this.#farewell || "The host ended this view.";
    set(this.#element, "aria-busy", null);
    this.#say(reason, again);
  }
}

function skeleton() {
  const lines = ["sg-line-1", "sg-line-2", "sg-line-3"].map((name) => make("div", { class: `sg-bone ${name}` }));
  return make("div", { class: "sg-skeleton", "aria-hidden": "true" }, ...lines);
}
