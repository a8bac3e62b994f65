// A person's own page: what /v1 gives that must be shown at once (a secret, its QR, recovery codes), and what the
// browser itself has to make (a passkey, the hash of the words that one agrees to).

import { act, bodyOf, Cancelled, words } from "./acts.js";
import { drawQr } from "./qr.js";
import { ask, newKey, tell } from "./wire.js";
import { makePasskey } from "./passkey.js";

const page = document.querySelector("[data-account]");
const told = JSON.parse(page.dataset.account);
const find = (name) => page.querySelector(`[data-${name}]`);

page.addEventListener("acted", async (event) => {
  const made = event.detail;
  if (event.target.matches("[data-totp]")) {
    find("totp-secret").textContent = made.secret;
    await drawQr(find("totp-qr"), made.uri);
    find("totp-made").hidden = false;
    find("totp-confirm").querySelector("input").focus();
  } else if (event.target.matches("[data-totp-confirm]")) {
    find("totp-codes").querySelector("pre").textContent = made.codes.join("\n");
    find("totp-codes").hidden = false;
    find("totp-made").hidden = true;
  } else if (event.target.matches("[data-phone-ask]")) {
    const prove = find("phone-prove");
    prove.elements.phone.value = event.target.elements.phone.value;
    prove.hidden = false;
    prove.elements.code.focus();
  }
});

find("passkey").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.dataset.busy) return;
  const spot = form.querySelector("[data-trouble]");
  spot.hidden = true;
  if (!window.PublicKeyCredential) return tell(spot, { message: told.none }, words);
  form.dataset.busy = "1";
  try {
    const asked = await act("/v1/me/passkeys/options", { method: "POST" });
    const answer = await makePasskey(asked.options);
    const made = await act("/v1/me/passkeys", { method: "POST", body: { challenge: asked.challenge, answer, ...bodyOf(form) } });
    const codes = find("totp-codes");
    if (!codes || !made.recovery_codes?.length) return location.reload();
    codes.querySelector("pre").textContent = made.recovery_codes.join("\n"); // the first passkey's: shown this once
    codes.hidden = false;
    codes.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (!(error instanceof Cancelled)) tell(spot, error instanceof DOMException ? { message: told.failed } : error, words);
  } finally {
    delete form.dataset.busy;
  }
});

// A consent names the words that stood on this page, by their hash.
page.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-give]");
  if (!button || button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  const text = page.querySelector(`[data-consent-text="${button.dataset.give}"]`).textContent.trim();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  try {
    await ask("/v1/consents", {
      method: "POST",
      body: { purpose: button.dataset.give, text_hash: `0x${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}` },
      once: newKey(),
    });
    location.reload();
  } catch (error) {
    button.removeAttribute("aria-disabled");
    tell(button.closest(".stack").lastElementChild, error, words);
  }
});
