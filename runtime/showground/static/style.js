// Sizes, colours and addresses: from what the wire says to what CSS and the DOM may have. What does not fit is left out.

const SIZE = /^\d+(\.\d+)?(px|%)$/;
const HEX = /^#([\da-f]{3,4}|[\da-f]{6}|[\da-f]{8})$/i;
const CALL = /^(rgb|hsl)a?\([\d\s.,%/+a-z-]*\)$/i;
const WORD = /^[a-z][a-z\d-]*$/;

/** `50%` or `120px`, else an empty string, which takes a style away. */
export function size(value) {
  return SIZE.test(value) ? value : "";
}

/** A colour of the wire as CSS: one value or a pair [light, dark]. Words are design tokens first, then CSS's own names. */
export function color(value) {
  if (Array.isArray(value)) {
    const [light, dark] = value.map(color);
    return light && dark ? `light-dark(${light},${dark})` : "";
  }
  if (typeof value !== "string") return "";
  if (WORD.test(value)) return `var(--sg-${value},${value})`;
  return HEX.test(value) || CALL.test(value) ? value : "";
}

/** The address of an image: https, data:image/, or a path on this host; else an empty string. */
export function imageAddress(value) {
  if (typeof value !== "string") return "";
  if (/^data:image\//i.test(value)) return value;
  const url = resolve(value);
  return url && (url.protocol === "https:" || url.origin === location.origin) ? url.href : "";
}

/** The address of an app's page: below this host's /assets/, else an empty string. */
export function pageAddress(value) {
  const url = typeof value === "string" && resolve(value);
  return url && url.origin === location.origin && url.pathname.startsWith("/assets/") ? url.href : "";
}

/** Where a link may lead: http and https, else null. */
export function linkAddress(value) {
  const url = typeof value === "string" && resolve(value);
  return url && (url.protocol === "https:" || url.protocol === "http:") ? url : null;
}

function resolve(value) {
  try {
    return new URL(value, location.origin);
  } catch {
    return null;
  }
}
