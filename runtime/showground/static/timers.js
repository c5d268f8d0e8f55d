// The intervals of a view: they run here and pause while nobody could see what they do.

export class Timers {
  #wanted = {};
  #running = new Map(); // hook → {ms, timer}
  #tick;
  #paused = true;

  constructor(tick) {
    this.#tick = tick;
    document.addEventListener("visibilitychange", this.#arrange);
  }

  /** The complete set: hook → milliseconds. */
  want(intervals) {
    this.#wanted = intervals;
    this.#arrange();
  }

  pause(paused) {
    this.#paused = paused;
    this.#arrange();
  }

  close() {
    this.want({});
    document.removeEventListener("visibilitychange", this.#arrange);
  }

  #arrange = () => {
    const quiet = this.#paused || document.hidden;
    for (const [hook, { ms, timer }] of this.#running)
      if (quiet || this.#wanted[hook] !== ms) {
        clearInterval(timer);
        this.#running.delete(hook);
      }
    if (quiet) return;
    for (const [hook, ms] of Object.entries(this.#wanted))
      if (!this.#running.has(hook))
        this.#running.set(hook, { ms, timer: setInterval(() => this.#tick(hook), Math.max(100, ms)) });
  };
}
