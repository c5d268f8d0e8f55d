// What an app may know about where its post is shown.

const dark = matchMedia("(prefers-color-scheme: dark)");

export function surroundings(element) {
  const theme = element.closest("[data-theme=light],[data-theme=dark]")?.dataset.theme;
  const env = {
    width: element.clientWidth,
    height: element.clientHeight,
    scale: devicePixelRatio,
    font_scale: parseFloat(getComputedStyle(document.documentElement).fontSize) / 16,
    color_scheme: theme ?? (dark.matches ? "dark" : "light"),
    locale: navigator.language,
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
  // the next page's first tree is rendered for it
  document.cookie = `showground_env=${encodeURIComponent(JSON.stringify(env))};path=/;max-age=31536000;samesite=lax`;
  return env;
}

export function watch(element, told) {
  let timer;
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(told, 250);
  };
  const sizes = new ResizeObserver(look);
  const themes = new MutationObserver(look);
  sizes.observe(element);
  for (let at = element; at; at = at.parentElement) themes.observe(at, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", look);
  return () => {
    clearTimeout(timer);
    sizes.disconnect();
    themes.disconnect();
    dark.removeEventListener("change", look);
  };
}
