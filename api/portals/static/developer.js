// The developer page: keys shown once, receivers of webhooks, deliveries sent again.

import { ask, newKey, tell } from "./wire.js";

const box = document.querySelector("[data-developer]");
const words = JSON.parse(box.dataset.words);
const trouble = box.querySelector("[data-trouble]");

async function act(button, work) {
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  trouble.hidden = true;
  try {
    await work();
  } catch (error) {
    tell(trouble, error, words);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

box.querySelector("[data-new-key]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  act(form.querySelector("button"), async () => {
    const made = await ask("/v1/keys/own", { method: "POST", body: { label: form.elements.label.value, scopes: form.elements.scopes.value }, once: newKey() });
    const shown = box.querySelector("[data-token]");
    shown.hidden = false;
    shown.querySelector("code").textContent = made.token;
  });
});

box.querySelector("[data-new-receiver]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  act(form.querySelector("button"), async () => {
    await ask("/v1/webhook_endpoints", { method: "POST", body: { url: form.elements.url.value, types: form.elements.types.value.split(/[\s,]+/).filter(Boolean) }, once: newKey() });
    location.reload();
  });
});

box.addEventListener("click", (event) => {
  const button = event.target.closest("[data-post], [data-delete]");
  if (!button) return;
  act(button, async () => {
    if (button.dataset.delete) await ask(button.dataset.delete, { method: "DELETE", once: newKey() });
    else await ask(button.dataset.post, { method: "POST", once: newKey() });
    location.reload();
  });
});
