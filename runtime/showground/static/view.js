// One live post on a page.

import { Announcer } from "./announcer.js";
import { Painter } from "./blocks.js";
import { Connection } from "./connection.js";
import { Effects } from "./effects.js";
import { button, make, set } from "./elements.js";
import { Frames } from "./frames.js";
import { apply, build, reconcile } from "./patch.js";
import { surroundings, watch } from "./surroundings.js";
import { Timers } from "./timers.js";

const PROTOCOL = 1;
const PENDING = 64;
const SHORT_MS = 250; // whoever waits no longer than this is shown nothing of it

export class View {
  #element;
  #stage = make("div", { class: "sg-stage" });
  #status = make("div", { class: "sg-status", role: "status" });
  #post;
  #ticket;
  #askTicket;
  #env; // what the tree was rendered for
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
  #waitTimer = 0;
  #farewell = "";
  #isOld = false; // this page, for its host

  constructor(element, paint, { askTicket, navigate } = {}) {
    this.#element = element;
    this.#post = paint.post;
    this.#ticket = paint.ticket;
    this.#env = JSON.stringify(paint.env);
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
    this.#stage.addEventListener("click", ({ target }) => this.#press(this.#painter.pressed(target)));
    this.#stage.addEventListener("keydown", (event) => this.#key(event));
    this.#connection = new Connection(this.#post, this);
    this.#take(paint);
    if (!paint.tree) this.#stage.append(skeleton());
    this.#unwatch = watch(element, () => this.#tellEnv());
    this.#connection.open();
  }

  close() {
    this.#unwatch();
    for (const part of [this.#timers, this.#frames, this.#effects, this.#announcer, this.#connection]) part.close();
    clearTimeout(this.#statusTimer);
    clearTimeout(this.#waitTimer);
  }

  // --- what the connection asks ---

  hello() {
    const message = { type: "hello", protocol: PROTOCOL, post: this.#post, env: surroundings(this.#element) };
    // A view is taken up with its own pass; the ticket, which may have expired, only begins one
    if (this.#view) return { ...message, ...this.pass(), rev: this.#root ? this.#rev : -1 };
    return { ...message, ticket: this.#ticket };
  }

  pass() {
    return { view: this.#view, resume: this.#resume };
  }

  changed(state) {
    this.#timers.pause(state !== "open");
    clearTimeout(this.#statusTimer);
    if (state === "open") this.#say("");
    else if (state === "offline") this.#say("You are offline. What you do is kept.");
    else if (state === "lost") this.#statusTimer = setTimeout(() => this.#say("Reconnecting…"), 600);
    else if (state === "over") this.#over();
  }

  received(message) {
    const { type } = message;
    if (type === "welcome") this.#welcome(message);
    else if (type === "update") this.#update(message);
    else if (type === "error") [this.#farewell, this.#isOld] = [message.error.message, message.error.code === "unsupported"];
    else if (type === "bye") {
      this.#farewell = message.reason;
      this.#connection.dismissed(message.retry_after);
    }
  }

  // --- what the host says ---

  #welcome(message) {
    const asked = this.#view;
    if (asked && !message.resumed && this.#ticket) {
      // begun without the ticket, this new view would be a stranger's
      this.#view = null;
      this.#renew();
      return;
    }
    const isNew = asked !== message.view;
    const isLost = isNew && this.#pending.size > 0;
    if (isNew) {
      this.#settle(Infinity);
      this.#seq = 0;
    }
    this.#seq = Math.max(this.#seq, message.ack);
    this.#refreshing = false;
    this.#connection.welcomed();
    this.#take(message);
    if (message.tree) this.#env = JSON.stringify(surroundings(this.#element));
    else this.#tellEnv();
    if (isLost) this.#effects.toast("The post was started afresh. Please do that again.", "error");
    for (const [seq, { event }] of this.#pending) this.#connection.send({ type: "event", seq, event });
  }

  #tellEnv() {
    const env = surroundings(this.#element);
    if (JSON.stringify(env) !== this.#env) this.#connection.send({ type: "env", env });
    this.#env = JSON.stringify(env);
  }

  async #renew() {
    this.#ticket = (await this.#askTicket?.()) || this.#ticket;
    this.#connection.open();
  }

  #update(message) {
    const { effects = [], ack = 0, seq = ack } = message; // shown up to seq, kept up to ack
    const done = [...this.#pending].filter(([at]) => at <= seq);
    const isTick = done.length && done.every(([, { event }]) => event.type === "interval");
    const refused = effects.filter(({ type }) => type === "form_errors").map(({ id }) => id);
    const error = effects.find(({ type }) => type === "error")?.message;
    this.#effects.show(effects);
    this.#take(message, !isTick);
    for (const [at, { event }] of done)
      if (at <= ack && event.type === "form_submitted") this.#effects.settled(event.form, refused.includes(event.form), error);
  }

  #take({ view, resume, tree, patch, base, rev, intervals, ack = 0 }, isNews = false) {
    if (view) [this.#view, this.#resume] = [view, resume];
    if (tree) {
      this.#refreshing = false;
      this.#draw(isNews, () => {
        if (this.#root) this.#root = reconcile(this.#root, tree, this.#painter);
        else this.#stage.replaceChildren((this.#root = build(tree, this.#painter)).el);
      });
      set(this.#element, "aria-busy", null);
    } else if (patch && !this.#refreshing) {
      try {
        if (base !== this.#rev) throw new Error(`a patch of ${base}`);
        this.#draw(isNews, () => (this.#root = apply(this.#root, patch, this.#painter)));
      } catch (error) {
        console.warn("showground:", error);
        this.#refreshing = true;
        this.#connection.send({ type: "refresh" });
      }
    }
    this.#rev = rev ?? this.#rev;
    if (intervals) this.#timers.want(intervals);
    this.#settle(ack);
  }

  #draw(isNews, change) {
    const before = document.activeElement;
    const isOurs = before !== this.#stage && this.#stage.contains(before);
    change();
    const texts = this.#painter.settle();
    if (isNews) this.#announcer.changed(texts);
    if (!isOurs || document.activeElement === before) return;
    this.#stage.tabIndex = -1;
    (before.isConnected ? before : this.#stage).focus({ preventScroll: true });
  }

  // --- what the viewer does ---

  #key(event) {
    const record = this.#painter.pressed(event.target);
    // real buttons click by themselves
    if (!/^(Enter| )$/.test(event.key) || record?.el !== event.target || record.type === "button") return;
    event.preventDefault();
    if (!event.repeat) this.#press(record);
  }

  #press(record) {
    if (record) this.#do({ type: "press", action: record.attrs.press }, record);
  }

  #tick(hook) {
    const isWaiting = [...this.#pending.values()].some(({ event }) => event.type === "interval" && event.hook === hook);
    if (!isWaiting) this.#do({ type: "interval", hook });
  }

  #do(event, record) {
    if (this.#pending.size >= PENDING) {
      this.#effects.toast("Too much is waiting for the host. Please wait a moment.", "error");
      return;
    }
    const seq = ++this.#seq;
    this.#pending.set(seq, { event, record, at: Date.now() });
    this.#waitTimer ||= setTimeout(this.#showWaiting, SHORT_MS);
    this.#connection.send({ type: "event", seq, event });
  }

  #settle(ack) {
    const done = [...this.#pending].filter(([seq]) => seq <= ack);
    for (const [seq] of done) this.#pending.delete(seq);
    const waiting = new Set([...this.#pending.values()].map(({ record }) => record));
    for (const [, { record }] of done) if (record && !waiting.has(record)) set(record.el, "aria-busy", null);
  }

  #showWaiting = () => {
    this.#waitTimer = 0;
    const now = Date.now();
    for (const { record, at } of this.#pending.values()) {
      if (now - at < SHORT_MS) {
        this.#waitTimer = setTimeout(this.#showWaiting, SHORT_MS - (now - at));
        break;
      }
      if (record) set(record.el, "aria-busy", "true");
    }
  };

  // --- how it stands ---

  #say(text, ...more) {
    this.#status.replaceChildren(...(text ? [make("span", {}, text), ...more] : []));
  }

  #over() {
    const isElsewhere = this.#farewell === "continued elsewhere";
    const again = button(this.#isOld ? "Reload" : isElsewhere ? "Continue here" : "Try again", { "data-size": "small" });
    again.onclick = () => {
      if (this.#isOld) return location.reload();
      this.#say("");
      if (isElsewhere) this.#connection.open();
      else this.#renew();
    };
    set(this.#element, "aria-busy", null);
    if (!this.#root) this.#stage.replaceChildren();
    this.#say(isElsewhere ? "This post goes on in another window." : this.#farewell || "The host ended this view.", again);
  }
}

function skeleton() {
  const bones = [1, 2, 3].map((line) => make("div", { class: `sg-bone sg-line-${line}` }));
  return make("div", { class: "sg-skeleton", "aria-hidden": "true" }, ...bones);
}
