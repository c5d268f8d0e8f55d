// What an app may know about where its post is shown: size, theme, language, time zone.

const dark = matchMedia("(prefers-color-scheme: dark)");

export function scheme(element) {
  const chosen = element.closest("[data-theme=light],[data-theme=dark]")?.dataset.theme;
  return chosen ?? (dark.matches ? "dark" : "light");
}

export function surroundings(element) {
  const env = {
    width: element.clientWidth,
    height: element.clientHeight,
    scale: devicePixelRatio,
    font_scale: Math.round((parseFloat(getComputedStyle(document.documentElement).fontSize) / 16) * 100) / 100,
    color_scheme: scheme(element),
    locale: navigator.language,
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC",
  };
  // The next page's first tree is rendered for it.
  document.cookie = `showground_env=${encodeURIComponent(JSON.stringify(env))};path=/;max-age=31536000;samesite=lax`;
  return env;
}

/** Call *told* with the new surroundings, a moment after they have changed. Returns a function that ends it. */
export function watch(element, told) {
  let timer = 0;
  let last = JSON.stringify(surroundings(element));
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const env = surroundings(element);
      const now = JSON.stringify(env);
      if (now !== last) told(env);
      last = now;
    }, 250);
  };
  const sizes = new ResizeObserver(look);
  sizes.observe(element);
  const themes = new MutationObserver(look);
  for (let at = element; at; at = at.parentElement) themes.observe(at, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", look);
  return () => {
    clearTimeout(timer);
    sizes.disconnect();
    themes.disconnect();
    dark.removeEventListener("change", look);
  };
}
