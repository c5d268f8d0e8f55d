// The same as publishing.py, for Node.
"use strict";
const fs = require("fs");
const readline = require("readline");
const WINDOW = 64; // turns under way at most

const now = () => Number(process.hrtime.bigint()) / 1e9;
const turn = () => new Promise((done) => setImmediate(done));
const sleep = (s) => new Promise((done) => setTimeout(done, s * 1000));

function payload(size) {
  const stamp = process.hrtime.bigint().toString().padStart(20, "0");
  return ('"@' + stamp).padEnd(size - 1, "x") + '"';
}

async function run(order, publish) {
  const { secs, rate, burst, size, subscribers } = order;
  const file = fs.openSync(order.received, "r");
  const bytes = Buffer.alloc(8);
  const received = () => (fs.readSync(file, bytes, 0, 8, 0), Number(bytes.readBigUInt64LE()));
  const base = received();
  const began = now();
  const cpu = process.cpuUsage();
  let published = 0;
  let due = began;
  while (now() - began < secs) {
    if (rate) {
      due += 1 / rate;
      const wait = due - now();
      if (wait > 0) await sleep(wait);
    }
    while (published - Math.floor((received() - base) / subscribers) >= WINDOW * burst) {
      await turn();
      if (now() - began > secs + 10) break;
    }
    for (let i = 0; i < burst; i++) publish(payload(size));
    published += burst;
    await turn();
  }
  const elapsed = now() - began;
  const deadline = now() + 10;
  while (received() - base < published * subscribers && now() < deadline) await sleep(0.005);
  const used = process.cpuUsage(cpu);
  fs.closeSync(file);
  return { published, cpu_s: (used.user + used.system) / 1e6, elapsed_s: elapsed, settled_s: now() - began };
}

function obey(port, publish) {
  console.log(String(port));
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", async (line) => console.log(JSON.stringify(await run(JSON.parse(line), publish))));
  lines.on("close", () => process.exit(0));
}

module.exports = { obey };
