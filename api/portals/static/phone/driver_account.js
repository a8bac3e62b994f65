// Who the driver is: the first visit, the PIN, and what to do when it is forgotten.

import { now } from "./clock.js";
import { button, h, icon, notice, sheet, t } from "./look.js";
import { keep, kept } from "./store.js";
import { digestOf, randomHex, readForm } from "./typed.js";
import { changePin, findKey, makeKey, signWith, takeKey, WrongPinError } from "./vault.js";
import { openDoor, register } from "./work.js";
import { ask, NoAnswer, Problem } from "./wire.js";

const PIN = /^[0-9]{6}$/;
const EASY = /^(\d)\1{5}$|^(012345|123456|234567|345678|456789|654321)$/;

function pinField(id, word) {
  return [
    h("label", { for: id }, t(word)),
    h("input", { id, type: "password", inputMode: "numeric", maxLength: 6, pattern: "[0-9]{6}", autocomplete: "off", class: "pin", required: true }),
  ];
}

function pinFault(pin, again) {
  if (!PIN.test(pin)) return t("ph_pin_six");
  if (EASY.test(pin)) return t("ph_pin_easy");
  if (pin !== again) return t("ph_pin_differs");
  return null;
}

function faultText(error) {
  if (error instanceof NoAnswer) return t("ph_needs_network");
  if (error instanceof WrongPinError) return error.waitMs ? t("ph_pin_wait", { seconds: Math.ceil(error.waitMs / 1000) }) : t("ph_pin_wrong", { left: error.left });
  if (error instanceof Problem && error.status === 403) return t("ph_needs_invitation");
  if (error instanceof Problem) return error.message;
  throw error;
}

export function welcomeScreen(enter) {
  const said = h("div", { class: "said", role: "alert", id: "welcome-said" });
  const form = h("form", { class: "welcome card", noValidate: true },
    icon("truck"),
    h("h1", {}, t("ph_welcome")),
    h("p", {}, t("ph_welcome_line")),
    h("label", { for: "name" }, t("ph_name")),
    h("input", { id: "name", autocomplete: "name", maxLength: 40, required: true }),
    pinField("pin-new", "ph_pin_new"),
    pinField("pin-again", "ph_pin_again"),
    h("p", { class: "small soft" }, t("ph_pin_line")),
    said,
    h("button", { class: "main", type: "submit" }, icon("key"), h("span", {}, t("ph_make_key"))),
    document.body.dataset.demo === "yes" ? button(t("ph_take_seat"), () => askSeat(form, enter), { kind: "second", sign: "steering" }) : null);
  const field = (id) => form.querySelector(`#${id}`);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const go = form.querySelector("button");
    if (go.disabled) return;
    const [name, pin, again] = [field("name").value.trim(), field("pin-new").value, field("pin-again").value];
    const fault = name ? pinFault(pin, again) : t("ph_name_missing");
    said.textContent = fault || "";
    if (fault) return field(name ? "pin-new" : "name").focus();
    go.disabled = true;
    said.textContent = t("ph_making_key");
    try {
      // A visit that was cut off after the key was made goes on with that key.
      let fresh = !(await findKey());
      if (!fresh) {
        try {
          await signWith(pin, [new Uint8Array(32).fill(1)]);
        } catch (error) {
          if (!(error instanceof WrongPinError)) throw error;
          fresh = true;
        }
      }
      if (fresh) await makeKey(pin);
      await register(name, pin);
      await openDoor(pin);
      form.remove();
      await enter();
    } catch (error) {
      said.textContent = faultText(error);
    } finally {
      go.disabled = false;
    }
  });
  return form;
}

// In a demo: the seat of its driver, whose key the demo hands to this phone, to be guarded by a PIN of one's own.
function askSeat(form, enter) {
  return sheet(t("ph_take_seat"), (close) => {
    const said = h("div", { class: "said", role: "alert" });
    const parts = [pinField("seat-pin", "ph_pin_new"), pinField("seat-again", "ph_pin_again")];
    return [h("p", {}, t("ph_take_seat_line")), parts, said, button(t("ph_take_seat"), async () => {
      const pin = parts[0][1].value;
      const fault = pinFault(pin, parts[1][1].value);
      said.textContent = fault || "";
      if (fault) return;
      try {
        const { order } = await ask("/demo/seats", { method: "POST", body: {}, open: true });
        let seat = {};
        for (let n = 0; n < 60 && !seat.key; n += 1) {
          await new Promise((done) => setTimeout(done, 250));
          seat = await ask(`/demo/orders/${order}`, { open: true });
        }
        if (!seat.key) throw new NoAnswer();
        await takeKey(seat.key, pin);
        await keep("party", seat.party);
        await keep("name", seat.name_zh);
        await openDoor(pin);
        close(true);
        form.remove();
        await enter();
      } catch (error) {
        said.textContent = faultText(error);
      }
    }, { sign: "steering" })];
  });
}

// Asks for the PIN alone: the API key is had anew by signature. True once it is.
export function askLogin() {
  return sheet(t("ph_enter_pin"), (close) => {
    const said = h("div", { class: "said", role: "alert" });
    const fields = pinField("pin", "ph_pin");
    return [fields, said, button(t("ph_go_on"), async () => {
      try {
        await openDoor(fields[1].value);
        close(true);
      } catch (error) {
        said.textContent = faultText(error);
      }
    })];
  });
}

export async function accountScreen(state, place, app) {
  const theme = await kept("theme", "auto");
  const rebinding = await kept("rebinding");
  return [
    h("h1", {}, state.name),
    h("dl", { class: "card facts" },
      h("div", {}, h("dt", {}, icon("person"), t("ph_party")), h("dd", { class: "num", "data-party": state.party }, state.party)),
      h("div", {}, h("dt", {}, icon("key"), t("ph_key")), h("dd", { class: "mono" }, state.address || "–"))),
    h("p", { class: "small soft" }, t("ph_party_line")),
    rebinding
      ? h("section", { class: "card fields" }, notice("warn", t("ph_rebinding_asked")), h("label", { for: "rebinding" }, t("ph_rebinding")), h("textarea", { id: "rebinding", class: "mono", readOnly: true, rows: 6 }, rebinding.text))
      : null,
    h("fieldset", { class: "card choice" }, h("legend", {}, t("ph_light")), ["auto", "light", "dark"].map((name) =>
      h("label", {}, h("input", {
        type: "radio", name: "theme", value: name, checked: theme === name,
        async onchange() {
          await keep("theme", name);
          showTheme(name);
        },
      }), t(`ph_light_${name}`)))),
    button(t("ph_pin_change"), () => askChange(), { kind: "second", sign: "lock" }),
    button(t("ph_pin_forgotten"), () => askNewKey(app), { kind: "second", sign: "key" }),
    h("p", { class: "card small" }, icon("road"), " ", t("ph_location_note")),
    h("p", { class: "card small" }, icon("shield"), " ", t("ph_key_line")),
  ];
}

export function showTheme(name) {
  document.documentElement.dataset.theme = name === "auto" ? "" : name;
  document.cookie = `yundan_theme=${name};path=/;max-age=31536000;samesite=lax`;
}

function askChange() {
  return sheet(t("ph_pin_change"), (close) => {
    const said = h("div", { class: "said", role: "alert" });
    const parts = [pinField("pin-old", "ph_pin_old"), pinField("pin-new", "ph_pin_new"), pinField("pin-again", "ph_pin_again")];
    return [parts, said, button(t("ph_pin_change"), async () => {
      const [old, pin, again] = parts.map((part) => part[1].value);
      const fault = pinFault(pin, again);
      if (fault) {
        said.textContent = fault;
        return;
      }
      try {
        await changePin(old, pin);
        close(true);
      } catch (error) {
        said.textContent = faultText(error);
      }
    })];
  });
}

// The new key's word that it wants to speak for the party, for the organisation that vouches for the driver
// (POST /v1/parties/PARTY/recovery). The contract is asked for first: without a network nothing changes.
async function makeRequest(pin) {
  const party = await kept("party");
  const query = new URLSearchParams({ party, scopes: "read", label: "phone" });
  const { domain } = readForm((await ask(`/v1/keys/form?${query}`, { open: true })).to_sign, await kept("chain"));
  const newKey = await makeKey(pin);
  const expires = String(Math.floor(now() / 1000) + 14 * 86400);
  const message = { party, newKey, expires, salt: randomHex() };
  const [signature] = await signWith(pin, [digestOf("KeyRecovery", domain, message)]);
  await keep("rebinding", { text: JSON.stringify({ message, signature }) });
}

// Nobody can open the old key. A new one is made, and the party's firm or registrar binds it after a wait.
function askNewKey(app) {
  return sheet(t("ph_pin_forgotten"), (close) => {
    const said = h("div", { class: "said", role: "alert" });
    const parts = [pinField("pin-new", "ph_pin_new"), pinField("pin-again", "ph_pin_again")];
    return [notice("warn", t("ph_forgotten_line")), parts, said, button(t("ph_forgotten_go"), async () => {
      const fault = pinFault(...parts.map((part) => part[1].value));
      if (fault) {
        said.textContent = fault;
        return;
      }
      try {
        await makeRequest(parts[0][1].value);
      } catch (error) {
        said.textContent = faultText(error);
        return;
      }
      close(true);
      await app.draw();
    }, { sign: "key" })];
  });
}
