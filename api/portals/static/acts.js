// Forms and buttons that act: each names one write of /v1 and what happens then. What is grave asks once more who
// one is and goes on; what needs a second person is handed to him word for word; a double click is one act.
//
//   <form data-act="POST" data-path="/v1/invitations" data-then="reload"> <select name="role"> ... </form>
//
// Fields become the JSON body by name: data-type "fen" reads yuan, "int" a whole number, "ppm" and "bps" per cent,
// "day" a Beijing day to its last second, "party" a name of the field's list or a number, "json" as it stands, "list"
// words; empty ones are left out. data-then: "reload" (unless told), a path to go to, or "show" (an "acted" event).

import { fenOf } from "./money.js";
import { ask, newKey, tell } from "./wire.js";

const place = document.querySelector("[data-act-words]");
export const words = place ? JSON.parse(place.dataset.actWords) : {};

export class Cancelled extends Error {}

/** Per cent as typed, in units of which a per cent has `unit`; null where it is none, or finer than a unit. */
function shareOf(text, unit) {
  const digits = String(unit).length - 1;
  const found = new RegExp(`^(\\d{1,3})(?:\\.(\\d{1,${digits}})0*)?$`).exec(text.trim().replace(/%$/, ""));
  return found ? Number(found[1]) * unit + Number((found[2] || "").padEnd(digits, "0")) : null;
}

function partyOf(text, field) {
  const named = [...(field.list?.options ?? [])].find((one) => one.value === text.trim());
  const id = named ? named.dataset.id : text.trim();
  return /^[1-9]\d{0,19}$/.test(id) ? id : null;
}

const READ = {
  fen: fenOf,
  ppm: (text) => shareOf(text, 10_000),
  bps: (text) => shareOf(text, 100),
  day: (text) => (/^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T23:59:59+08:00`).toISOString().replace(".000", "") : null),
  party: partyOf,
  int: (text) => (/^\d{1,15}$/.test(text.trim()) ? Number(text) : null),
  json: (text) => JSON.parse(text),
  list: (text) => text.split(/[\s,]+/).filter(Boolean),
};

/** The JSON body of a form; null where a field cannot be read, which is then marked. */
export function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.type === "submit" || field.type === "button") continue;
    field.removeAttribute("aria-invalid");
    if (field.type === "checkbox") {
      body[field.name] = field.checked;
      continue;
    }
    if (field.value === "") continue;
    const value = field.dataset.type ? READ[field.dataset.type](field.value, field) : field.value;
    if (value === null) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return null;
    }
    body[field.name] = value;
  }
  return body;
}

/** Asks for the password (and code) in a dialog until it is right; false when it was put away. */
function prove() {
  const dialog = document.querySelector("dialog[data-proof]");
  const form = dialog.querySelector("form");
  const said = dialog.querySelector("[data-trouble]");
  return new Promise((resolve) => {
    let proved = false;
    async function onSubmit(event) {
      event.preventDefault();
      if (form.dataset.busy) return;
      form.dataset.busy = "1";
      said.hidden = true;
      try {
        await ask("/v1/sessions/proof", { method: "POST", body: bodyOf(form) });
        proved = true;
        dialog.close();
      } catch (error) {
        tell(said, error.code === "sign_in_refused" ? { message: words.refused } : error, words);
      } finally {
        delete form.dataset.busy;
      }
    }
    form.addEventListener("submit", onSubmit);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", onSubmit);
      form.reset();
      resolve(proved);
    }, { once: true });
    dialog.showModal();
  });
}

/** A write; where a fresh proof of who one is was asked for, it is given and the same write goes again. */
export async function act(path, options) {
  try {
    return await ask(path, options);
  } catch (error) {
    if (error.code !== "proof_too_old") throw error;
    if (!(await prove())) throw new Cancelled();
    return await ask(path, options);
  }
}

/** Where a second person is needed: the same request, handed to him from here. */
export function offerSecondPerson(spot, { method, path, body }, told) {
  tell(spot, { message: told.second }, told);
  spot.className = "notice warn mt-3";
  const go = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-primary btn-sm mt-2", textContent: told.propose });
  go.dataset.propose = "";
  const once = newKey();
  go.addEventListener("click", async () => {
    if (go.getAttribute("aria-disabled")) return;
    go.setAttribute("aria-disabled", "true");
    try {
      await act("/v1/proposals", { method: "POST", body: { method, path, body }, once });
      const link = Object.assign(document.createElement("a"), { href: "/approvals", textContent: told.proposed });
      spot.className = "notice good mt-3";
      spot.replaceChildren(link);
    } catch (error) {
      if (error instanceof Cancelled) go.removeAttribute("aria-disabled");
      else tell(spot, error, told);
    }
  });
  spot.firstElementChild.append(document.createElement("br"), go);
}

const keys = new WeakMap(); // form -> Idempotency-Key of the act it stands for; what is changed is another act

async function run(form) {
  if (form.dataset.busy) return;
  const spot = form.querySelector("[data-trouble]") || form.closest("[data-acts]").querySelector("[data-trouble]");
  const button = form.matches("button") ? form : form.querySelector("button:not([type=button])");
  const body = form.matches("form") ? bodyOf(form) : form.dataset.body ? JSON.parse(form.dataset.body) : undefined;
  if (body === null) return tell(spot, { message: words.unread }, words);
  if (form.dataset.sure && !confirm(form.dataset.sure)) return;
  form.dataset.busy = "1";
  button?.setAttribute("aria-disabled", "true");
  spot.hidden = true;
  if (!keys.has(form)) keys.set(form, newKey());
  const request = { method: form.dataset.act, path: form.dataset.path, body: body && Object.keys(body).length ? body : undefined };
  try {
    const told = await act(request.path, { ...request, once: form.dataset.once || keys.get(form) });
    keys.delete(form);
    const then = form.dataset.then || "reload";
    if (then === "show") form.dispatchEvent(new CustomEvent("acted", { detail: told, bubbles: true }));
    else if (then === "reload") location.reload();
    else location.assign(then);
  } catch (error) {
    if (error instanceof Cancelled) return;
    if (error.code === "second_person_needed") offerSecondPerson(spot, request, words);
    else {
      tell(spot, error, words);
      form.elements?.namedItem?.(error.field?.split(".").pop() || "")?.setAttribute?.("aria-invalid", "true");
    }
  } finally {
    delete form.dataset.busy;
    button?.removeAttribute("aria-disabled");
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-act]")) return;
  event.preventDefault();
  run(event.target);
});
document.addEventListener("input", (event) => event.target.form && keys.delete(event.target.form));
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (button) run(button);
  const shut = event.target.closest("[data-shut]");
  if (shut) shut.closest("dialog").close();
});
