// The other ways in: a passkey, or a code to one's phone. Both end in the same session as the password.

import { ask, tell } from "./wire.js";
import { showPasskey } from "./passkey.js";

const page = document.querySelector("[data-door]");
const words = JSON.parse(page.dataset.door);
const spot = page.querySelector("[data-trouble]");
const on = page.querySelector("input[name=next]").value || "/";
const phone = page.querySelector("[data-phone]");
let busy = false;

async function once(work) {
  if (busy) return;
  busy = true;
  spot.hidden = true;
  try {
    await work();
  } catch (error) {
    const known = words[error.code] || (error instanceof DOMException ? words.passkey_refused : "");
    tell(spot, known ? { message: known } : error, words);
  } finally {
    busy = false;
  }
}

const passkey = page.querySelector("[data-passkey]");
passkey.hidden = !window.PublicKeyCredential;
passkey.addEventListener("click", () =>
  once(async () => {
    const asked = await ask("/v1/sessions/passkey/options", { method: "POST" });
    await ask("/v1/sessions/passkey", { method: "POST", body: { challenge: asked.challenge, answer: await showPasskey(asked.options) } });
    location.assign(on);
  }));

phone.addEventListener("submit", (event) => {
  event.preventDefault();
  const { elements } = phone;
  const code = phone.querySelector("[data-code]");
  once(async () => {
    if (code.hidden) {
      await ask("/v1/sessions/phone/code", { method: "POST", body: { phone: elements.phone.value } });
      code.hidden = false;
      elements.code.required = true;
      phone.querySelector("button").textContent = words.enter;
      elements.code.focus();
      return;
    }
    await ask("/v1/sessions/phone", { method: "POST", body: { phone: elements.phone.value, code: elements.code.value } });
    location.assign(on);
  });
});
