// The task screen: what is next, in one big button, with what it pays and what is behind it.

import { button, chip, h, icon, local, money, notice, quantity, sheet, t, when } from "./look.js";
import { kept } from "./store.js";
import { now } from "./clock.js";
import { accept, addPhotos, consent, fetchLink, load, tellStep } from "./work.js";
import { NoAnswer, Problem } from "./wire.js";
import { NotSignedError } from "./typed.js";

const BAR = ["ph_bar_sign", "ph_bar_load", "ph_bar_drive", "ph_bar_receipt", "ph_bar_money"];
const PLACE = {
  offer: 0, wait_firm: 0, refused: 0, consent: 0, wait_chain: 1, arrive_loading: 1, load: 1,
  depart: 2, arrive: 2, receipt: 3, money: 4, paid: 5, held: 3, void: 3, over: 0,
};

const messages = new Map();

// Where a task stands: what the server said, and what this phone has done since.
export function stepOf(task, items) {
  const did = (id) => items.some((item) => item.id === id && item.state !== "failed");
  const told = (step) => step in task.steps || did(`step.${step}.${task.trip}`);
  if (task.stage === "cancelled") return "over";
  if (task.stage === "refused") return "refused";
  if (!task.signed) return did(`sign.${task.waybill}`) ? "wait_firm" : "offer";
  if (task.stage === "draft" || task.stage === "signed") return "wait_firm";
  if (task.trip_state === "void") return "void";
  if (task.paid_fen >= task.net_fen) return "paid";
  if (task.trip_state === "held" || task.disputed) return "held";
  if (task.trip_state === "open") {
    if (task.needs_consent && !did(`consent.${task.advance}`)) return "consent";
    if (!told("arrived_loading")) return "arrive_loading";
    if (!did(`load.${task.trip}`)) return "load";
  }
  if (task.confirmed_at) return "money";
  if (task.trip_state === "none") return "wait_chain";
  if (!told("departed")) return "depart";
  if (!told("arrived_unloading")) return "arrive";
  return "receipt";
}

export function isOver(task, items) {
  return ["paid", "void", "over"].includes(stepOf(task, items));
}

export async function jobsScreen(state, place, app) {
  const chosen = state.tasks.find((task) => task.waybill === place[0]);
  if (chosen) return taskScreen(chosen, state, app);
  const open = state.tasks.filter((task) => !isOver(task, state.items));
  // One at a time: what is on the road comes before what is only offered.
  const order = (task) => -PLACE[stepOf(task, state.items)];
  open.sort((a, b) => order(a) - order(b) || Date.parse(a.load_from) - Date.parse(b.load_from));
  const [current, ...others] = open;
  const over = state.tasks.filter((task) => isOver(task, state.items));
  return [
    current ? await taskScreen(current, state, app) : empty(state),
    others.length ? h("section", {}, h("h2", {}, t("ph_next_tasks")), others.map((task) => row(task, state))) : null,
    over.length ? h("section", {}, h("h2", {}, t("ph_past_tasks")), over.map((task) => row(task, state))) : null,
  ];
}

function empty(state) {
  return h("div", { class: "empty-state" }, icon("steering"), h("h1", {}, t("ph_no_task")), h("p", {}, t("ph_no_task_line")),
    h("p", { class: "number", "data-party": state.party }, state.party),
    document.body.dataset.demo === "yes" ? button(t("ph_demo_trip"), orderTrip, { sign: "truck" }) : null);
}

// In a demo: a trip for whoever has taken its driver's seat; its firm signs and offers it in a few seconds.
async function orderTrip() {
  await fetch("/demo/drives", { method: "POST", body: new URLSearchParams({ mode: "seat" }), redirect: "manual" });
}

function row(task, state) {
  const step = stepOf(task, state.items);
  return h("a", { class: "card row", href: `#/task/${task.waybill}` },
    h("span", {}, h("b", {}, `${task.origin} → ${task.destination}`), h("small", {}, `${task.shipping_note}·${task.serial}`)),
    h("span", { class: "end" }, h("b", { class: "num" }, money(task.net_fen)), toneChip(step)));
}

export function toneChip(step) {
  const tone = { paid: "good", held: "warn", refused: "bad", void: "bad", over: "plain" }[step] || "wait";
  return chip(tone, t(`ph_step_${step}`));
}

async function taskScreen(task, state, app) {
  const step = stepOf(task, state.items);
  return h("article", { class: "task", "data-step": step, "data-trip": task.trip },
    h("div", { class: "card pay" },
      h("p", { class: "soft" }, t(step === "offer" ? "ph_you_get" : "ph_your_pay")),
      h("p", { class: "big num" }, money(task.net_fen)),
      h("p", { class: "small" }, payLine(task))),
    steps(step),
    await nextCard(task, step, state, app),
    facts(task),
    h("p", { class: "soft small foot" }, icon("road"), t("ph_location_note")));
}

// What the driver is to know about his money before he signs: nothing is taken from it, and when it comes.
function payLine(task) {
  if (task.advance_fen) return t("ph_pay_advance", { amount: money(task.advance_fen) });
  return t("ph_pay_term", { days: task.term_days });
}

function steps(step) {
  const at = PLACE[step];
  return h("ol", { class: "bar", "aria-label": t("ph_progress") }, BAR.map((word, place) =>
    h("li", { class: place < at ? "done" : place === at ? "now" : "", "aria-current": place === at ? "step" : null }, h("i", {}, place < at ? icon("good") : String(place + 1)), t(word))));
}

function facts(task) {
  const line = (sign, name, value) => h("div", {}, h("dt", {}, icon(sign), name), h("dd", {}, value));
  return h("dl", { class: "card facts" },
    line("route", t("ph_road"), `${task.origin} → ${task.destination}`),
    line("box", t("ph_goods"), `${task.goods} · ${quantity(task.quantity_milli, task.unit)}`),
    line("truck", t("ph_plate"), task.plate),
    line("building", t("ph_from_firm"), local(task, "issuer")),
    line("calendar", t("ph_load_from"), when(task.load_from)),
    line("flag", t("ph_deliver_by"), when(task.deliver_by)),
    line("business", t("ph_note"), h("span", { class: "num" }, `${task.shipping_note}·${task.serial}`)));
}

async function nextCard(task, step, state, app) {
  // What was said stays while the page is drawn anew, until the next act or step.
  const place = `${task.waybill} ${step}`;
  const said = messages.get(place) ?? h("div", { class: "said" });
  messages.set(place, said);
  const act = (work) => async () => {
    said.replaceChildren();
    try {
      await work();
    } catch (error) {
      if (error instanceof NoAnswer) said.replaceChildren(notice("warn", t("ph_needs_network")));
      else if (error instanceof Problem) said.replaceChildren(notice("bad", error.status === 401 ? t("ph_login_again") : error.message));
      else if (error instanceof NotSignedError) said.replaceChildren(notice("bad", t("ph_not_signed", { why: error.message })));
      else {
        said.replaceChildren(notice("bad", t("ph_went_wrong")));
        throw error;
      }
      return;
    }
    await app.draw();
    document.querySelector(".next h1")?.focus();
  };
  const brief = [[t("ph_road"), `${task.origin} → ${task.destination}`], [t("ph_plate"), task.plate], [t("ph_goods"), `${task.goods} · ${quantity(task.quantity_milli, task.unit)}`]];
  const pay = [t("ph_net_pay"), money(task.net_fen)];
  const title = h("h1", { tabIndex: -1 }, t(`ph_do_${step}`));
  const line = h("p", {}, t(`ph_do_${step}_line`));
  const photos = (purpose) => photoBlock(task, purpose, state, said);
  const made = {
    offer: () => [button(t("ph_accept"), act(() => accept(task, [pay, ...brief])), { sign: "signature" }), h("p", { class: "small soft" }, t("ph_sign_before", { when: when(task.sign_by) }))],
    refused: () => [h("p", { class: "small" }, task.refusal)],
    consent: () => [button(t("ph_consent"), act(() => consent(task, [[t("ph_amount"), money(task.advance_fen)], ...brief])), { sign: "signature" })],
    arrive_loading: () => [button(t("ph_arrived"), act(() => tellStep(task, "arrived_loading", now())), { sign: "road" })],
    load: () => [photos("loading_photo"), button(t("ph_loaded"), act(() => load(task, brief, now(), state.domain)), { sign: "box" })],
    depart: () => [button(t("ph_departed"), act(() => tellStep(task, "departed", now())), { sign: "truck" })],
    arrive: () => [button(t("ph_arrived"), act(() => tellStep(task, "arrived_unloading", now())), { sign: "flag" })],
    receipt: () => [photos("receipt_photo"), button(t("ph_show_code"), () => showCode(task), { sign: "qr" })],
    money: () => [h("a", { class: "main", href: "#/money" }, icon("money"), h("span", {}, t("ph_see_money")))],
    paid: () => [h("a", { class: "main", href: "#/money" }, icon("money"), h("span", {}, t("ph_see_money")))],
  }[step];
  return h("div", { class: `card next ${step}` }, title, line, said, made ? made() : null);
}

function photoBlock(task, purpose, state, said) {
  const own = state.items.filter((item) => item.trip === task.trip && item.facts.purpose === purpose);
  const input = h("input", { type: "file", accept: "image/*", multiple: true, class: "hidden-text", id: `photos-${purpose}` });
  input.setAttribute("capture", "environment");
  input.addEventListener("change", () => addPhotos(task, [...input.files], purpose, (node) => said.append(node)));
  return h("div", { class: "photos" },
    h("label", { class: "second", for: input.id, tabIndex: 0, onkeydown: (event) => event.key === "Enter" && input.click() }, icon("camera"), t("ph_take_photo")), input,
    own.map((item) => h("figure", { class: item.state, "data-photo": item.facts.sha256 },
      h("img", { alt: t("ph_photo"), class: "thumb", src: item.facts.thumb }),
      item.state === "sent"
        ? chip("good", t("ph_photo_sent"))
        : item.state === "failed"
          ? chip("bad", t("ph_photo_failed"))
          : h("progress", { max: 1, value: item.progress, "aria-label": t("ph_photo_waits") }))));
}

// The consignee's code fills the screen; without a network the one that was fetched before is shown.
async function showCode(task) {
  const place = h("div", { class: "fields" });
  let seen = null;
  const look = async () => {
    const link = await kept(`link.${task.trip}`);
    if (place.firstChild && link?.url === seen) return;
    seen = link?.url;
    place.replaceChildren(...(link ? codeParts(task, link) : [notice("warn", t("ph_code_waits"))]));
  };
  let timer = null;
  await sheet(t("ph_code_title"), () => {
    timer = setInterval(look, 500); // it may come while he waits
    look();
    return place;
  });
  clearInterval(timer);
}

function codeParts(task, link) {
  const picture = h("img", { class: "qr", alt: t("ph_code_alt"), src: `data:image/svg+xml,${encodeURIComponent(link.qr_svg)}` });
  return [
    picture,
    h("p", {}, t("ph_code_line")),
    h("p", { class: "small soft", "data-link": link.url }, t("ph_code_until", { when: when(link.expires_at) })),
    button(t("ph_code_new"), async () => {
      await fetchLink(task, true);
    }, { kind: "second", sign: "refresh" }),
  ];
}
