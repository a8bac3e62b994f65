// The consignee's page: what stands before him, in plain words what his signature will do, and a key made here
// for this one receipt. Nothing is kept by the server before he signs; a draft is kept on this phone.

import { button, chip, h, icon, language, loadWords, local, notice, quantity, sheet, short, t, when } from "./look.js";
import { NoPhoto, preparePhoto, sha256Of } from "./photos.js";
import { forget, keep, kept } from "./store.js";
import { documentHash, readForm } from "./typed.js";
import { findGateKey, keepGateKey, makeGateKey, signAtGate } from "./vault.js";
import { ask, NoAnswer, Problem, upload } from "./wire.js";
import SignaturePad from "../npm/signature-pad/signature_pad.js";

const main = document.getElementById("main");
const token = location.pathname.split("/").at(-1);
const path = `/v1/receipts/${token}`;
const DRAFT = `draft.${token}`;
let shown = null;
let draft = { outcome: "", accepted: "", damaged: false, note: "", signer: "", code: "", photos: [] };
let pad = null;
let pause = 1500;
let next = 0;

function head() {
  return h("header", { class: "top" }, h("span", { class: "brand" }, icon("truck"), h("b", {}, t("app_name"))),
    h("button", { class: "plain", type: "button", onclick: () => { language(language() === "zh" ? "en" : "zh"); draw(); } }, t("other_lang")));
}

const fill = (...children) => main.replaceChildren(head(), h("div", { class: "page" }, children));

async function look() {
  const before = JSON.stringify(shown);
  try {
    shown = await ask(path, { open: true });
  } catch (error) {
    // A receipt that stands here already stays; only its news is late.
    if (shown?.paper && (error instanceof NoAnswer || error.status === 429 || error.status >= 500)) lookLater();
    else if (error instanceof NoAnswer) fill(h("div", { class: "card stamp warn" }, icon("warn"), h("h1", {}, t("ph_offline")), h("p", {}, t("ph_needs_network")), button(t("ph_retry"), look)));
    else if (error instanceof Problem && error.status === 429) fill(h("div", { class: "card stamp warn" }, icon("wait"), h("h1", {}, t("ph_too_often")), button(t("ph_retry"), look)));
    else fill(h("div", { class: "card stamp bad" }, icon("bad"), h("h1", {}, t("ph_link_unknown")), h("p", {}, t("ph_link_unknown_line"))));
    return false;
  }
  if (shown.state === "used" && JSON.stringify(shown) === before) lookLater();
  else draw();
  return true;
}

// Less and less often: the money may come in a month, and a link is asked so many times a minute only.
function lookLater() {
  clearTimeout(next);
  if (shown.paper.on_chain && shown.paid) return;
  next = setTimeout(look, pause);
  pause = Math.min(pause * 1.5, 60_000);
}

function goods() {
  const line = (sign, name, value) => h("div", {}, h("dt", {}, icon(sign), name), h("dd", {}, value));
  return h("dl", { class: "card facts" },
    line("box", t("ph_goods"), `${shown.goods} · ${quantity(shown.loaded_milli, shown.unit)}`),
    line("truck", t("ph_plate"), shown.plate),
    line("person", t("ph_driver"), local(shown, "driver")),
    line("building", t("ph_carrier"), local(shown, "carrier")),
    line("route", t("ph_road"), `${shown.origin} → ${shown.destination}`),
    line("calendar", t("ph_loaded_at"), when(shown.loaded_at)),
    line("business", t("ph_note"), h("span", { class: "num" }, `${shown.shipping_note}·${shown.serial}`)));
}

function draw() {
  if (!shown) return;
  document.title = `${t("ph_receipt_title")} · ${t("app_name")}`;
  if (shown.state === "used") return drawDone();
  if (shown.state === "gone") {
    return fill(h("div", { class: "card stamp warn" }, icon("wait"), h("h1", {}, t("ph_link_gone")), h("p", {}, t("ph_link_gone_line"))));
  }
  if (shown.trip_state !== "loaded") {
    return fill(h("div", { class: "card stamp warn" }, icon("warn"), h("h1", {}, t("ph_not_on_road")), h("p", {}, t("ph_not_on_road_line"))), goods());
  }
  drawForm();
}

function triggers() {
  const lines = [t("ph_tells_quantity"), t(shown.pays_at_once ? "ph_tells_pay_now" : "ph_tells_pay_term"), t("ph_tells_no_cost"), t("ph_tells_once")];
  return h("section", { class: "card tell" }, h("h2", {}, t("ph_tells")), h("ul", {}, lines.map((line) => h("li", {}, line))));
}

function remember() {
  keep(DRAFT, draft);
}

function drawForm() {
  const said = h("div", { class: "said", role: "alert" });
  const details = h("div", { class: "fields" });
  const choice = (value, word) => h("label", {}, h("input", { type: "radio", name: "outcome", value, checked: draft.outcome === value, onchange() { draft.outcome = value; remember(); drawDetails(); } }), h("span", {}, t(`ph_out_${word}`), h("small", {}, t(`ph_out_${word}_line`))));
  const field = (name, word, props = {}) => {
    const input = h(props.tag || "input", { id: name, value: draft[name], autocomplete: "off", oninput() { draft[name] = input.value; remember(); }, ...props, tag: null });
    input.value = draft[name];
    return [h("label", { for: name }, t(word)), input];
  };
  const photos = h("div", { class: "photos" });
  const picker = h("input", { type: "file", accept: "image/*", multiple: true, class: "hidden-text", id: "photos", onchange: () => addPhotos([...picker.files], photos, said) });
  function drawDetails() {
    const exception = draft.outcome === "exception";
    const refused = draft.outcome === "refused";
    details.replaceChildren(...[
      exception ? [field("accepted", "ph_accepted", { inputMode: "decimal", placeholder: String(shown.loaded_milli / 1000) }),
        h("div", { class: "checks" }, h("label", {}, h("input", { type: "checkbox", id: "damaged", checked: draft.damaged, onchange(event) { draft.damaged = event.target.checked; remember(); } }), t("ph_damaged")))] : [],
      exception || refused ? [field("note", refused ? "ph_why_refused" : "ph_note_free", { tag: "textarea", maxLength: 500 }), h("label", { class: "second", for: "photos" }, icon("camera"), t("ph_take_photo")), picker, photos] : [],
    ].flat(2));
    go.querySelector("span").textContent = t(refused ? "ph_refuse" : "ph_confirm");
    go.className = refused ? "main danger" : "main";
    go.disabled = !draft.outcome;
  }
  const canvas = h("canvas", { "aria-label": t("ph_draw"), tabIndex: 0, role: "img" });
  const go = button(t("ph_confirm"), () => submit(said), { sign: "signature", off: !draft.outcome });
  fill(
    h("h1", {}, t("ph_receipt_for", { who: local(shown, "consignee") })),
    goods(),
    triggers(),
    h("fieldset", { class: "outcomes" }, h("legend", {}, t("ph_out")), choice("confirmed", "sound"), choice("exception", "exception"), choice("refused", "refused")),
    details,
    h("section", { class: "card fields" },
      field("signer", "ph_your_name", { autocomplete: "name", maxLength: 40 }),
      shown.needs_code ? [field("code", "ph_code", { inputMode: "numeric", maxLength: 6, class: "pin" }), h("p", { class: "small soft" }, t("ph_code_why"))] : null,
      h("p", { class: "strong" }, t("ph_draw")),
      h("div", { class: "pad" }, canvas, h("button", { class: "plain", type: "button", onclick: () => pad.clear() }, t("ph_draw_again")))),
    said,
    go,
    h("p", { class: "small soft" }, t("ph_gate_key_line")),
  );
  drawDetails();
  drawPhotos(photos);
  const scale = devicePixelRatio || 1;
  canvas.width = canvas.offsetWidth * scale;
  canvas.height = canvas.offsetHeight * scale;
  canvas.getContext("2d").scale(scale, scale);
  pad = new SignaturePad(canvas, { penColor: "#123", minWidth: 1, maxWidth: 3 });
}

async function addPhotos(files, place, said) {
  said.replaceChildren();
  for (const file of files) {
    try {
      const { blob, sha256, thumb } = await preparePhoto(file);
      if (draft.photos.some((photo) => photo.sha256 === sha256) || draft.photos.length >= 8) continue;
      const photo = { sha256, state: "waiting", progress: 0, blob, thumb, once: `photo.${crypto.randomUUID()}` };
      draft.photos.push(photo);
      drawPhotos(place);
      await send(photo, place);
    } catch (error) {
      if (!(error instanceof NoPhoto)) throw error;
      said.append(notice("bad", t(error.code, { name: file.name })));
    }
  }
}

async function send(photo, place) {
  try {
    photo.state = "sending";
    await upload(`${path}/photos`, photo.blob, { "Content-Type": "image/jpeg", "Idempotency-Key": photo.once }, (share) => {
      photo.progress = share;
      place?.querySelector(`[data-photo="${photo.sha256}"] progress`)?.setAttribute("value", share);
    });
    photo.state = "sent";
  } catch (error) {
    photo.state = error instanceof NoAnswer || error.status >= 500 || error.status === 429 ? "waiting" : "failed";
  }
  await remember();
  if (place?.isConnected) drawPhotos(place);
}

function drawPhotos(place) {
  place.replaceChildren(...draft.photos.map((photo) => {
    const picture = h("img", { class: "thumb", alt: t("ph_photo"), src: photo.thumb });
    return h("figure", { "data-photo": photo.sha256, class: photo.state }, picture,
      photo.state === "sent" ? chip("good", t("ph_photo_sent")) : photo.state === "failed" ? chip("bad", t("ph_photo_failed")) : h("progress", { max: 1, value: photo.progress, "aria-label": t("ph_photo_waits") }),
      photo.state === "sent" ? null : h("button", { class: "plain", type: "button", "aria-label": t("ph_photo_off"), onclick: () => { draft.photos = draft.photos.filter((one) => one !== photo); remember(); drawPhotos(place); } }, icon("bad")));
  }));
}

function fault() {
  if (!draft.outcome) return t("ph_out");
  if (!draft.signer.trim()) return t("ph_name_missing");
  if (shown.needs_code && !/^[0-9]{6}$/.test(draft.code)) return t("ph_code_missing");
  if (pad.isEmpty()) return t("ph_draw_missing");
  if (draft.outcome === "exception") {
    const given = draft.accepted === "" ? shown.loaded_milli : Math.round(Number(draft.accepted) * 1000);
    if (!Number.isFinite(given) || given < 0 || given > shown.loaded_milli) return t("ph_accepted_most", { most: shown.loaded_milli / 1000 });
    if (given === shown.loaded_milli && !draft.damaged) return t("ph_exception_none");
  }
  if (draft.outcome === "refused" && !draft.note.trim()) return t("ph_why_missing");
  return null;
}

async function submit(said) {
  said.replaceChildren();
  const wrong = fault();
  if (wrong) return said.append(notice("bad", wrong));
  const exception = draft.outcome === "exception";
  const accepted = draft.outcome === "refused" ? 0 : exception && draft.accepted !== "" ? Math.round(Number(draft.accepted) * 1000) : shown.loaded_milli;
  const sure = await sheet(t("ph_sure"), (close) => [
    h("dl", { class: "facts" },
      h("div", {}, h("dt", {}, t("ph_goods")), h("dd", {}, shown.goods)),
      h("div", {}, h("dt", {}, t("ph_accepted")), h("dd", { class: "num" }, quantity(accepted, shown.unit))),
      h("div", {}, h("dt", {}, t("ph_your_name")), h("dd", {}, draft.signer.trim()))),
    h("p", {}, t(draft.outcome === "refused" ? "ph_sure_refuse" : shown.pays_at_once && !exception ? "ph_sure_pay" : "ph_sure_confirm")),
    button(t("ph_sure_yes"), () => close(true), { sign: "signature", kind: draft.outcome === "refused" ? "main danger" : "main" }),
    button(t("ph_sure_no"), () => close(), { kind: "second" }),
  ]);
  if (!sure) return;
  try {
    await signAndSend(accepted, exception && draft.damaged ? 1 : 0);
  } catch (error) {
    if (error instanceof NoAnswer) said.append(notice("warn", t("ph_gate_retry")));
    else if (error instanceof Problem) {
      const known = { receipt_code_wrong: "ph_code_wrong", receipt_code_locked: "ph_code_locked", receipt_other_key: "ph_other_key", too_many_requests: "ph_too_often" }[error.code];
      if (["link_used", "link_gone"].includes(error.code)) return look();
      said.append(notice("bad", known ? t(known) : error.message));
    } else {
      said.append(notice("bad", t("ph_went_wrong")));
      throw error;
    }
    said.scrollIntoView({ block: "center" });
    return;
  }
  await forget(DRAFT);
  await look();
  scrollTo(0, 0);
}

async function drawing() {
  const blob = await new Promise((done) => pad.canvas.toBlob(done, "image/png"));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return { base64: btoa(text), sha256: await sha256Of(blob) };
}

// What is signed is written down first: cut off, the very same bytes go again and count once.
async function signAndSend(accepted, condition) {
  let waiting = await kept(`signed.${token}`);
  if (!waiting) {
    for (const photo of draft.photos.filter((one) => one.state !== "sent")) await send(photo, null);
    if (draft.photos.some((photo) => photo.state === "waiting")) throw new NoAnswer();
    const record = (await findGateKey(shown.consignee)) ?? (await makeGateKey());
    await keepGateKey(shown.consignee, record);
    const drawn = await drawing();
    const said = {
      outcome: draft.outcome === "refused" ? "refused" : "confirmed", accepted_milli: accepted, condition,
      note: draft.note.trim(), signer: draft.signer.trim(), key: record.address, drawing_sha256: drawn.sha256,
      photos: draft.photos.filter((photo) => photo.state === "sent").map((photo) => photo.sha256),
    };
    const prepared = await ask(`${path}/forms`, { method: "POST", body: said, open: true });
    const form = check(prepared, said, record);
    const forms = [form];
    if (prepared.enrolment) forms.push(readForm(prepared.enrolment));
    const [signature, enrolling] = await signAtGate(record, forms.map((one) => one.digest));
    waiting = {
      once: `sign.${crypto.randomUUID()}`,
      body: {
        message: form.message, signature, content: prepared.content, salt: prepared.salt, drawing: drawn.base64, code: draft.code || null,
        enrolment: prepared.enrolment ? { message: forms[1].message, signature: enrolling, profile_salt: prepared.profile_salt } : null,
      },
    };
    await keep(`signed.${token}`, waiting);
  }
  try {
    await ask(`${path}/signature`, { method: "POST", body: waiting.body, once: waiting.once, open: true });
  } catch (error) {
    if (error instanceof Problem && error.status < 500) await forget(`signed.${token}`);
    throw error;
  }
  await forget(`signed.${token}`);
}

// That the server prepared what was said, about what was shown, and nothing else.
function check(prepared, said, record) {
  const form = readForm(prepared.to_sign);
  const { content } = prepared;
  const digest = documentHash(content, prepared.salt);
  const same =
    content.trip === shown.trip && content.goods === shown.goods && content.loaded_milli === shown.loaded_milli &&
    content.outcome === said.outcome && content.accepted_milli === said.accepted_milli && content.note === said.note &&
    content.signer === said.signer && content.drawing_sha256 === said.drawing_sha256 &&
    JSON.stringify(content.photos) === JSON.stringify(said.photos) &&
    form.message.trip === shown.trip && form.message.by === shown.consignee &&
    (form.name === "Dispute" ? said.outcome === "refused" && form.message.reason === digest : form.name === "Confirmation" && form.message.document === digest && form.message.accepted === String(said.accepted_milli));
  if (!same) throw new Problem(422, { detail: t("ph_not_signed", { why: form.name }) });
  if (prepared.enrolment && prepared.enrolment.message.key.toLowerCase() !== record.address.toLowerCase()) throw new Problem(422, { detail: t("ph_not_signed", { why: "key" }) });
  return form;
}

function drawDone() {
  const { paper } = shown;
  const refused = paper.content.outcome === "refused";
  const line = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  fill(
    h("div", { class: `card stamp ${refused ? "warn" : ""}`, "data-on-chain": String(paper.on_chain), "data-paid": String(shown.paid) },
      icon(refused ? "warn" : "good"),
      h("h1", { tabIndex: -1 }, t(refused ? "ph_done_refused" : "ph_done")),
      h("p", {}, t(refused ? "ph_done_refused_line" : shown.paid ? "ph_done_paid" : "ph_done_line")),
      paper.on_chain ? chip("good", t("ph_on_chain", { block: paper.block }), "chain") : chip("wait", t("ph_on_its_way"), "chain")),
    h("dl", { class: "card facts" },
      line(t("ph_goods"), paper.content.goods),
      line(t("ph_accepted"), h("span", { class: "num" }, quantity(paper.content.accepted_milli, paper.content.unit))),
      paper.content.note ? line(t("ph_note_free"), paper.content.note) : null,
      line(t("ph_your_name"), paper.content.signer),
      line(t("ph_signed_at"), when(paper.signed_at)),
      line(t("ph_receipt_number"), h("span", { class: "mono" }, short(paper.document)))),
    h("div", { class: "two-links" },
      h("a", { class: "main", href: `/verify/${paper.document}` }, icon("shield"), h("span", {}, t("ph_verify"))),
      h("a", { class: "second", href: `/v1/receipt-papers/${paper.document}/receipt.pdf?lang=${language()}` }, icon("download"), t("ph_pdf"))),
  );
  lookLater();
}

async function begin() {
  await loadWords();
  draft = { ...draft, ...(await kept(DRAFT, {})) };
  if (await look()) {
    // A signature that was cut off on its way goes on by itself.
    if (shown.state === "open" && (await kept(`signed.${token}`))) {
      try {
        await signAndSend(0, 0);
      } catch (error) {
        if (!(error instanceof NoAnswer) && !(error instanceof Problem)) throw error;
      }
      await look();
    }
  }
  addEventListener("online", () => shown?.state !== "open" && look());
  document.documentElement.dataset.ready = "1";
}

begin();
