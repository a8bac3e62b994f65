// What every desk page can do: "/" to search, copy buttons, one submit for each form, following the machine's light.

const dark = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
function followLight() {
  if (!root.dataset.theme) root.dataset.bsTheme = dark.matches ? "dark" : "light";
}
followLight();
dark.addEventListener("change", followLight);

// A table wider than its place can be scrolled with the arrow keys; one that fits is no stop for the Tab key.
const wide = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
function watchTables(place) {
  for (const one of place.querySelectorAll(".table-wrap")) wide.observe(one);
}
watchTables(document);
document.addEventListener("htmx:afterSwap", (event) => watchTables(event.target));

// On a phone the page one is on may lie beyond the edge of its row of tabs.
for (const tab of document.querySelectorAll(".tabs [aria-current], .subtabs [aria-current]")) {
  const row = tab.parentElement;
  row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    const field = document.querySelector("[data-search]");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.setAttribute("aria-label", button.dataset.done || "");
});

// A form that acts is sent once: the second click finds its button off. Coming back by "back" puts it on again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  }
});
