// Terms of a line: a new line's are prepared and laid before the borrower, who signs first; a higher limit goes the
// same way, a lower one straight to the lender's own signature. A form that was prepared is laid once, also if the
// answer was lost.

import { act, bodyOf, Cancelled, words } from "./acts.js";
import { forget } from "./keep.js";
import { newKey, tell } from "./wire.js";

const AFTER = "/lender/lines#offers";

/** Runs a form's work once at a time, and tells what went wrong where the form tells it. */
function onSubmit(form, work) {
  const spot = form.querySelector("[data-trouble]");
  const button = form.querySelector("button:not([type=button])");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.busy) return;
    const body = bodyOf(form);
    if (body === null) return tell(spot, { message: words.unread }, words);
    form.dataset.busy = "1";
    button.setAttribute("aria-disabled", "true");
    spot.hidden = true;
    try {
      await work(body);
    } catch (error) {
      if (!(error instanceof Cancelled)) tell(spot, error, words);
      form.elements.namedItem(error.field?.split(".").pop() || "")?.setAttribute?.("aria-invalid", "true");
    } finally {
      delete form.dataset.busy;
      button.removeAttribute("aria-disabled");
    }
  });
}

/** Lays a prepared form before the borrower; what was prepared is kept until something else is typed. */
function layer(form, kind, prepare) {
  let ready = null;
  form.addEventListener("input", () => (ready = null));
  return async (body) => {
    ready ??= { message: await prepare(body), once: newKey() };
    await act("/v1/line-offers", { method: "POST", body: { form: kind, message: ready.message }, once: ready.once });
    forget(form);
    location.assign(AFTER);
    if (location.pathname === AFTER.split("#")[0]) location.reload();
  };
}

const terms = document.querySelector("form[data-terms]");
if (terms) {
  for (const field of terms.querySelectorAll("[data-hash]")) {
    field.addEventListener("change", async () => {
      const [file] = field.files;
      const sum = file ? new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())) : [];
      terms.elements[field.dataset.hash].value = file ? `0x${[...sum].map((one) => one.toString(16).padStart(2, "0")).join("")}` : "";
      terms.dispatchEvent(new Event("input"));
    });
  }
  onSubmit(
    terms,
    layer(terms, "CreditLine", async (body) => (await act("/v1/lines/form", { method: "POST", body })).to_sign.message),
  );
}

const limit = document.querySelector("form[data-limit]");
if (limit) {
  const { limit: line, until } = limit.dataset;
  const [now, used] = [Number(limit.dataset.now), Number(limit.querySelector("[data-used]").dataset.used)];
  const said = limit.querySelector("[data-means]");
  const means = JSON.parse(said.dataset.means);
  const read = () => {
    const body = bodyOf(limit) ?? {};
    return { fen: body.limit_fen ?? now, later: limit.elements.valid_until.value !== until };
  };
  const show = () => {
    const { fen, later } = read();
    said.textContent = fen > now ? means.raise : fen < used ? means.below : fen === now && !later ? means.same : means.alone;
  };
  limit.addEventListener("input", show);
  show();
  const path = ({ limit_fen, valid_until }) => `/v1/lines/${line}/change?limit_fen=${limit_fen}${limit.elements.valid_until.value === until ? "" : `&valid_until=${encodeURIComponent(valid_until)}`}`;
  const lay = layer(limit, "LineChange", async (body) => (await act(path(body))).to_sign.message);
  onSubmit(limit, async (body) => {
    const { fen, later } = read();
    if (fen > now) return lay(body);
    if (fen === now && !later) return tell(limit.querySelector("[data-trouble]"), { message: means.same }, words);
    forget(limit);
    location.assign(`/sign?form=${encodeURIComponent(path(body))}`);
  });
}
