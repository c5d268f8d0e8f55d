// The way to the host: a WebSocket, or an event stream with POSTs where WebSockets are blocked. Comes back by itself.

const FIRST_MS = 500;
const MOST_MS = 30_000;
const PING_MS = 25_000;
const PONG_MS = 15_000;
const WELCOME_MS = 20_000;

/**
 * `owner` has: hello() → message; pass() → {view, resume}; received(message); changed(state).
 * States: "connecting", "open", "lost", "offline", "over". The owner calls welcomed() when it took a welcome.
 */
export class Connection {
  #owner;
  #path;
  #wire = null;
  #failures = 0;
  #attempts = 0;
  #retry = 0;
  #silence = 0;
  #due = 0;
  state = "connecting";

  constructor(post, owner) {
    this.#path = `/live/${encodeURIComponent(post)}`;
    this.#owner = owner;
    addEventListener("online", this.#hurry);
    addEventListener("offline", this.#offline);
    addEventListener("pageshow", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
  }

  open() {
    clearTimeout(this.#retry);
    this.#cut();
    if (navigator.onLine === false) return this.#become("offline");
    this.#become(this.#attempts ? "lost" : "connecting");
    // After two sockets without a welcome the stream has its turn; when that fails as well, both in turn.
    const stream = this.#failures >= 2 && this.#failures % 2 === 0;
    const wire = stream ? new Stream(this.#path, this.#owner) : new Socket(this.#path, this.#owner);
    this.#wire = wire;
    wire.heard = (message) => this.#wire === wire && this.#heard(message);
    wire.ended = () => this.#wire === wire && this.#ended();
    this.#listen(WELCOME_MS, () => this.#ended());
  }

  send(message) {
    if (this.state === "open") this.#wire.send(message);
  }

  welcomed() {
    this.#failures = this.#wire instanceof Stream ? 2 : 0;
    this.#attempts = 0;
    this.#become("open");
  }

  /** The host said goodbye. Comes back after *seconds* (and some), or never when that is null. */
  dismissed(seconds) {
    this.#cut();
    if (seconds === null || seconds === undefined) this.#become("over");
    else this.#later(seconds * 1000 * (1 + Math.random() / 2));
  }

  close() {
    clearTimeout(this.#retry);
    this.#cut();
    this.#become("over");
    removeEventListener("online", this.#hurry);
    removeEventListener("offline", this.#offline);
    removeEventListener("pageshow", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
  }

  #heard(message) {
    this.#listen(PING_MS, () => {
      this.#wire.send({ type: "ping" });
      this.#listen(PONG_MS, () => this.#ended());
    });
    this.#owner.received(message);
  }

  #listen(wait, then) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(then, wait);
  }

  #ended() {
    const welcome = this.state === "open";
    this.#cut();
    if (!welcome) this.#failures++;
    // Full jitter: all viewers of a host that went away come back spread out.
    this.#later(Math.random() * Math.min(MOST_MS, FIRST_MS * 2 ** this.#attempts++));
  }

  #later(wait) {
    this.#attempts ||= 1;
    this.#become(navigator.onLine === false ? "offline" : "lost");
    this.#due = Date.now() + wait;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => document.hidden || this.open(), wait);
  }

  // Back on screen or on line: try at once, but never sooner than a host asked for.
  #hurry = () => {
    if (document.hidden || (this.state !== "lost" && this.state !== "offline") || this.#wire) return;
    if (this.state === "lost" && this.#due - Date.now() > MOST_MS) return;
    this.open();
  };

  #offline = () => {
    if (this.state === "over") return;
    clearTimeout(this.#retry);
    this.#cut();
    this.#attempts ||= 1;
    this.#become("offline");
  };

  #cut() {
    clearTimeout(this.#silence);
    const wire = this.#wire;
    this.#wire = null;
    wire?.close();
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#owner.changed(state);
  }
}

class Socket {
  #socket;

  constructor(path, owner) {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${path}/socket`);
    this.#socket = socket;
    socket.onopen = () => this.send(owner.hello());
    socket.onmessage = ({ data }) => this.heard(JSON.parse(data));
    socket.onclose = () => this.ended();
  }

  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#socket.close();
  }
}

class Stream {
  #source;
  #path;
  #owner;
  #sending = Promise.resolve();
  #closed = false;

  constructor(path, owner) {
    this.#path = path;
    this.#owner = owner;
    this.#source = new EventSource(`${path}/stream?hello=${encodeURIComponent(JSON.stringify(owner.hello()))}`);
    this.#source.onmessage = ({ data }) => this.heard(JSON.parse(data));
    this.#source.onerror = () => this.ended();
  }

  // One after the other, so that the host gets them in order.
  send(message) {
    this.#sending = this.#sending.then(() => this.#post(message));
  }

  async #post(message) {
    if (this.#closed) return;
    const { view, resume } = this.#owner.pass();
    try {
      const answer = await fetch(`${this.#path}/views/${encodeURIComponent(view)}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-View-Pass": resume },
        body: JSON.stringify(message),
        signal: AbortSignal.timeout(15_000),
      });
      if (!answer.ok) this.ended();
    } catch {
      if (!this.#closed) this.ended();
    }
  }

  close() {
    this.#closed = true;
    this.#source.close();
  }
}
