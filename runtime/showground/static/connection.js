// A WebSocket, or an event stream with POSTs where WebSockets are blocked. Comes back by itself.

const FIRST_MS = 500;
const MOST_MS = 30_000;
const PING_MS = 25_000;
const PATIENCE_MS = 15_000;

export class Connection {
  #owner;
  #path;
  #wire = null;
  #blocked = 0;
  #attempts = 0;
  #retry;
  #silence;
  #state = "new";

  constructor(post, owner) {
    this.#path = `/live/${encodeURIComponent(post)}`;
    this.#owner = owner;
    this.#listen(addEventListener);
  }

  open() {
    this.#cut();
    if (!navigator.onLine) return this.#become("offline");
    if (this.#state === "over") this.#become("lost");
    // after two sockets without a welcome, streams and sockets in turn
    const isStream = this.#blocked >= 2 && this.#blocked % 2 === 0;
    const wire = (this.#wire = new (isStream ? Stream : Socket)(this.#path, this.#owner));
    const current = (then) => (message) => this.#wire === wire && then(message);
    wire.heard = current((message) => this.#heard(message));
    wire.ended = current(() => this.#ended());
    this.#await(PATIENCE_MS, wire.ended);
  }

  send(message) {
    if (this.#state === "open") this.#wire.send(message);
  }

  welcomed() {
    this.#blocked = this.#wire instanceof Stream ? 2 : 0;
    this.#attempts = 0;
    this.#become("open");
  }

  dismissed(seconds) {
    this.#cut();
    if (seconds === null) this.#become("over");
    else this.#later(seconds * 1000 * (1 + Math.random() / 2));
  }

  close() {
    this.#cut();
    this.#state = "over";
    this.#listen(removeEventListener);
  }

  #listen(how) {
    for (const name of ["online", "offline", "pageshow"]) how.call(window, name, this.#look);
    how.call(document, "visibilitychange", this.#look);
  }

  #heard(message) {
    const { ended } = this.#wire;
    this.#await(PING_MS, () => {
      this.#wire.send({ type: "ping" });
      this.#await(PATIENCE_MS, ended);
    });
    this.#owner.received(message);
  }

  #await(wait, then) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(then, wait);
  }

  #ended() {
    if (this.#state !== "open") this.#blocked++;
    this.#cut();
    // full jitter: who lost a host comes back spread out
    this.#later(Math.random() * Math.min(MOST_MS, FIRST_MS * 2 ** this.#attempts++));
  }

  #later(wait) {
    this.#become("lost");
    this.#retry = setTimeout(() => document.hidden || this.open(), wait);
  }

  #look = ({ type }) => {
    if (this.#state === "over") return;
    if (type === "offline") {
      this.#cut();
      this.#become("offline");
    } else if (!this.#wire && !document.hidden) this.open();
  };

  #cut() {
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    this.#wire?.close();
    this.#wire = null;
  }

  #become(state) {
    if (this.#state !== state) this.#owner.changed((this.#state = state));
  }
}

class Socket {
  #socket;

  constructor(path, owner) {
    this.#socket = new WebSocket(`${location.origin.replace("http", "ws")}${path}/socket`);
    this.#socket.onopen = () => this.send(owner.hello());
    this.#socket.onmessage = ({ data }) => this.heard(JSON.parse(data));
    this.#socket.onclose = () => this.ended();
  }

  send(message) {
    if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#socket.close();
  }
}

class Stream {
  #source;
  #path;
  #owner;
  #sent = Promise.resolve();

  constructor(path, owner) {
    this.#path = path;
    this.#owner = owner;
    this.#source = new EventSource(`${path}/stream?hello=${encodeURIComponent(JSON.stringify(owner.hello()))}`);
    this.#source.onmessage = ({ data }) => this.heard(JSON.parse(data));
    this.#source.onerror = () => this.ended();
  }

  // in order: one after the other
  send(message) {
    this.#sent = this.#sent.then(() => this.#post(message)).catch(() => this.ended());
  }

  async #post(message) {
    const { view, resume } = this.#owner.pass();
    if (this.#source.readyState === 2) return;
    const answer = await fetch(`${this.#path}/views/${view}`, {
      method: "POST",
      headers: { "X-View-Pass": resume },
      body: JSON.stringify(message),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!answer.ok) throw new Error(answer.statusText);
  }

  close() {
    this.#source.close();
  }
}
