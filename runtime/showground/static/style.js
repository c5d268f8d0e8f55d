// Sizes, colours and addresses: what the wire says as CSS and the DOM may have it; empty when it does not fit.

/** `50%` or `120px`. */
export function size(value) {
  return /^\d+(\.\d+)?(px|%)$/.test(value) ? value : "";
}

/** One value, or a pair [light, dark]. Words are design tokens first, then CSS's own names. */
export function color(value) {
  if (Array.isArray(value)) {
    const [light, dark] = value.map(color);
    return light && dark ? `light-dark(${light},${dark})` : "";
  }
  if (typeof value !== "string") return "";
  if (/^[a-z][a-z\d-]*$/.test(value)) return `var(--sg-${value},${value})`;
  return /^(#([\da-f]{3,4}|[\da-f]{6}|[\da-f]{8})|(rgb|hsl)a?\([\d\s.,%/+a-z-]*\))$/i.test(value) ? value : "";
}

/** Of an image: https, data:image/, or this host's. */
export function imageAddress(value) {
  const url = resolve(value);
  const isGood = url && (url.protocol === "https:" || url.origin === location.origin || /^data:image\//i.test(url.href));
  return isGood ? url.href : "";
}

/** Of an app's page: below this host's /assets/. */
export function pageAddress(value) {
  const url = resolve(value);
  return url?.origin === location.origin && url.pathname.startsWith("/assets/") ? url.href : "";
}

/** Where a link may lead, http and https: a URL or null. */
export function linkAddress(value) {
  const url = resolve(value);
  return /^https?:$/.test(url?.protocol) ? url : null;
}

function resolve(value) {
  return typeof value === "string" && URL.canParse(value, location.origin) ? new URL(value, location.origin) : null;
}
