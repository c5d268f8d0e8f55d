// The intervals of a view. They pause while nobody could see what they do.

export class Timers {
  #wanted = {};
  #running = new Map(); // hook → [milliseconds, timer]
  #tick;
  #isPaused = true;

  constructor(tick) {
    this.#tick = tick;
    document.addEventListener("visibilitychange", this.#arrange);
  }

  want(intervals) {
    this.#wanted = intervals;
    this.#arrange();
  }

  pause(isPaused) {
    this.#isPaused = isPaused;
    this.#arrange();
  }

  close() {
    this.want({});
    document.removeEventListener("visibilitychange", this.#arrange);
  }

  #arrange = () => {
    const wanted = this.#isPaused || document.hidden ? {} : this.#wanted;
    for (const [hook, [ms, timer]] of this.#running)
      if (wanted[hook] !== ms) {
        clearInterval(timer);
        this.#running.delete(hook);
      }
    for (const hook in wanted)
      if (!this.#running.has(hook))
        this.#running.set(hook, [wanted[hook], setInterval(() => this.#tick(hook), Math.max(100, wanted[hook]))]);
  };
}
