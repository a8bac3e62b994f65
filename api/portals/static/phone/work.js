// What a driver does: each act asks for his PIN where it needs his signature, is written to the outbox, and is
// seen as done at once, with a mark until the server has it.

import { button, h, notice, sheet, t } from "./look.js";
import * as outbox from "./outbox.js";
import { preparePhoto, NoPhoto } from "./photos.js";
import { forget, keep, kept } from "./store.js";
import { documentHash, digestOf, randomHex, readForm } from "./typed.js";
import { findKey, signWith, WrongPinError } from "./vault.js";
import { ask } from "./wire.js";

const SCOPES = "read waybills:write deliveries:write advances:write documents:write keys:write";
const DAY_S = 86400;

// Asks for the PIN with what is about to be signed in view; gives signatures, or null when put away.
export async function signForms(title, facts, forms) {
  const facts_ = facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return sheet(title, (close) => {
    const said = h("div", { class: "said", role: "alert" });
    const pin = h("input", {
      type: "password", inputMode: "numeric", autocomplete: "off", maxLength: 6, pattern: "[0-9]*",
      id: "pin", class: "pin", "aria-describedby": "pin-said",
    });
    said.id = "pin-said";
    const go = button(t("ph_sign"), async () => {
      said.textContent = "";
      try {
        close(await signWith(pin.value, forms.map((form) => form.digest)));
      } catch (error) {
        if (!(error instanceof WrongPinError)) throw error;
        pin.value = "";
        said.textContent = error.waitMs
          ? t("ph_pin_wait", { seconds: Math.ceil(error.waitMs / 1000) })
          : t("ph_pin_wrong", { left: error.left });
        pin.focus();
      }
    }, { sign: "signature" });
    pin.addEventListener("keydown", (event) => {
      if (event.key === "Enter") go.click();
    });
    return [
      h("dl", { class: "facts" }, facts_),
      h("label", { for: "pin" }, t("ph_pin")),
      pin,
      said,
      go,
      h("details", {}, h("summary", {}, t("ph_what_is_signed")), forms.map((form) =>
        h("pre", { class: "mono", tabindex: "0" }, `${form.name}\n${JSON.stringify(form.message, null, 1)}\n\nEIP-712 ${Array.from(form.digest, (b) => b.toString(16).padStart(2, "0")).join("")}`))),
    ];
  });
}

async function pinnedDomain(form) {
  const known = await kept("chain");
  if (!known) await keep("chain", { chainId: form.domain.chainId });
  return form;
}

async function read(toSign) {
  return pinnedDomain(readForm(toSign, await kept("chain")));
}

// -- who I am ----------------------------------------------------------------------------------------------

// Registers the phone's key as a driver. Gives the party's number.
export async function register(name, pin) {
  const key = await findKey();
  const who = { name_zh: name, name_en: name, kind: "driver" };
  const prepared = await ask("/v1/parties/form", { method: "POST", body: { ...who, key }, open: true });
  const form = await read(prepared.to_sign);
  if (form.message.key.toLowerCase() !== key.toLowerCase()) throw new Error("another key's form");
  const [signature] = await signWith(pin, [form.digest]);
  await ask("/v1/parties", {
    method: "POST",
    open: true,
    once: `register.${prepared.party}`,
    body: { ...who, message: form.message, signature, profile_salt: prepared.profile_salt },
  });
  await keep("party", prepared.party);
  await keep("name", name);
  return prepared.party;
}

// A new API key by signature: after the first registration, and whenever the old one is refused.
export async function openDoor(pin) {
  const party = await kept("party");
  const query = new URLSearchParams({ party, scopes: SCOPES, label: "phone" });
  const prepared = await ask(`/v1/keys/form?${query}`, { open: true });
  const form = await read(prepared.to_sign);
  if (form.message.party !== party) throw new Error("another party's form");
  const [signature] = await signWith(pin, [form.digest]);
  const { scopes, label, issuedAt, salt } = form.message;
  const opened = await ask("/v1/keys", {
    method: "POST",
    open: true,
    once: `open.${salt}`,
    body: { party, scopes, label, issued_at: Number(issuedAt), salt, signature },
  });
  await keep("token", opened.token);
  await forget("needs-login");
  outbox.flush();
}

// -- on the way --------------------------------------------------------------------------------------------

export async function accept(task, facts) {
  const shown = await ask(`/v1/waybills/${task.waybill}`);
  if (!shown.to_sign) return true;
  const form = await read(shown.to_sign);
  const mine = form.message.performer === (await kept("party"));
  if (!mine || form.message.freight !== String(task.freight_fen)) throw new Error("another contract");
  const made = await signForms(t("ph_sign_contract"), facts, [form]);
  if (!made) return false;
  await outbox.add({
    id: `sign.${task.waybill}`, trip: task.trip, word: "ph_act_sign",
    path: `/v1/waybills/${task.waybill}/signatures`, body: { signature: made[0] },
  });
  return true;
}

export async function consent(task, facts) {
  const prepared = await ask(`/v1/advances/${task.advance}/consent`);
  const form = await read(prepared.to_sign);
  if (form.message.advance !== task.advance) throw new Error("another advance");
  const made = await signForms(t("ph_sign_consent"), facts, [form]);
  if (!made) return false;
  await outbox.add({
    id: `consent.${task.advance}`, trip: task.trip, word: "ph_act_consent",
    path: `/v1/advances/${task.advance}/consent`, body: { message: form.message, signature: made[0] },
  });
  return true;
}

// Made on the phone, so that a truck can be loaded where there is no network.
export async function load(task, facts, now, domain) {
  const at = Math.max(Math.floor(now / 1000) - 1, Math.floor(Date.parse(task.load_from) / 1000));
  const message = {
    trip: task.trip,
    version: String(task.version),
    vehicle: task.vehicle,
    quantity: String(task.quantity_milli),
    at: String(at),
    document: documentHash({ trip: task.trip, loaded_milli: task.quantity_milli }, randomHex()),
    expires: String(at + DAY_S),
    salt: randomHex(),
  };
  const form = { name: "Loading", domain, message, digest: digestOf("Loading", domain, message) };
  const made = await signForms(t("ph_sign_loading"), facts, [form]);
  if (!made) return false;
  await outbox.add({
    id: `load.${task.trip}`, trip: task.trip, word: "ph_act_load",
    path: `/v1/deliveries/${task.trip}/loading`, body: { message, signature: made[0] },
  });
  await fetchLink(task);
  return true;
}

export async function tellStep(task, step, now) {
  await outbox.add({
    id: `step.${step}.${task.trip}`, trip: task.trip, word: `ph_act_${step}`, facts: { step, at: now },
    path: `/v1/deliveries/${task.trip}/steps`, body: { step, at: new Date(now).toISOString() },
  });
}

// The consignee's code. It is fetched as soon as the truck is loaded, so that it can be shown without a network.
export async function fetchLink(task, again = false) {
  const id = `link.${task.trip}`;
  if (again) await outbox.drop(id);
  await outbox.add({
    id, trip: task.trip, word: "ph_act_link", body: {}, keepAs: `link.${task.trip}`,
    path: `/v1/deliveries/${task.trip}/receipt-link`,
  });
}

export async function addPhotos(task, files, purpose, say) {
  for (const file of files) {
    try {
      const { blob, sha256, thumb } = await preparePhoto(file);
      const query = new URLSearchParams({ about: `trp_${task.trip.slice(2)}`, purpose });
      await outbox.add({
        id: `photo.${purpose}.${sha256}`, trip: task.trip, word: "ph_act_photo", facts: { purpose, sha256, thumb },
        path: `/v1/documents?${query}`, type: "image/jpeg",
      }, blob);
    } catch (error) {
      if (!(error instanceof NoPhoto)) throw error;
      say(notice("bad", t(error.code, { name: file.name })));
    }
  }
}
