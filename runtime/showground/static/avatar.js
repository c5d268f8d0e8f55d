// Faces that are drawn from the id: the same person always looks the same.

import { draw } from "./elements.js";

const EARS = ["M20 34 16 12 36 22ZM80 34 84 12 64 22Z", "M50 22 46 8 54 8Z", "", "M24 26a10 10 0 1 1 12-8ZM76 26a10 10 0 1 0-12-8Z"];
const MOUTHS = ["M42 66q8 8 16 0", "M43 66h14", "M45 64a5 5 0 0 0 10 0", "M42 64q4 5 8 0q4 5 8 0"];

export function avatar(id, facing) {
  const seed = hash(String(id));
  const hue = seed % 360;
  const look = facing === "right" ? 3 : -3;
  const part = (d, fill, more) => draw("path", { d, fill, ...more });
  const round = (x, y, r, fill) => draw("circle", { cx: x + look, cy: y, r, fill });
  return draw(
    "svg",
    { viewBox: "0 0 100 100", "aria-hidden": "true" },
    part(EARS[(seed >> 9) & 3], `hsl(${hue} 55% 50%)`),
    part("M50 18c24 0 34 16 34 36S74 100 50 100 16 74 16 54 26 18 50 18Z", `hsl(${hue} 62% 62%)`),
    round(50 - look, 70, 17, `hsl(${hue + 20} 80% 84%)`),
    ...[36, 64].flatMap((x) => [round(x, 50, 8, "#fff"), round(x + look, 51, 4, "#1c1917")]),
    part(MOUTHS[(seed >> 13) & 3], "none", { stroke: "#1c1917", "stroke-width": 3, "stroke-linecap": "round" }),
  );
}

// FNV-1a, and a step that spreads ids which differ in their last letter only
function hash(text) {
  let value = 0x811c9dc5;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0), 0x01000193);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  return (value ^ (value >>> 13)) >>> 0;
}
