// Menu items of apps, and flair colours. Everything else on these pages works without a script.

const SAID = "showground-said";
const token = document.body.dataset.formToken;

async function ask(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Form-Token": token },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  return response.ok ? answer.effects ?? [] : [{ type: "error", message: answer.error?.message ?? "That did not work." }];
}

// An app that leads to a page of ours leads there in place, and what it said is shown there.
async function show(effects, { app, community, target }) {
  const { showEffects } = await import("/static/client.js");
  const way = effects.find(({ type, url }) => type === "navigate" && new URL(url, location.href).origin === location.origin);
  if (way) {
    sessionStorage.setItem(SAID, JSON.stringify(effects.filter(({ type }) => type === "toast")));
    location.assign(way.url);
    return;
  }
  showEffects(effects, {
    onSubmit: async (form, values) =>
      show(await ask(`/c/${community}/form`, { app, form, values, target }), { app, community, target }),
  });
}

const said = JSON.parse(sessionStorage.getItem(SAID) ?? "[]");
sessionStorage.removeItem(SAID);
if (said.length) show(said, {});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-menu]");
  if (!button || button.getAttribute("aria-busy") === "true") return;
  const { app, item, location, target, community } = button.dataset;
  button.setAttribute("aria-busy", "true");
  try {
    const effects = await ask(`/c/${community}/menu`, { app, item, location, target });
    button.closest("details").open = false;
    await show(effects, button.dataset);
  } catch {
    await show([{ type: "error", message: "The host could not be reached." }], button.dataset);
  } finally {
    button.removeAttribute("aria-busy");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

for (const flair of document.querySelectorAll(".flair[data-color]")) {
  if (/^#[0-9a-f]{3,8}$/i.test(flair.dataset.color)) flair.style.borderInlineStart = `4px solid ${flair.dataset.color}`;
}
