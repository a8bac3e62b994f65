// The outbox: everything that was done on this phone and whether the server has it.

import { button, chip, h, icon, t, when } from "./look.js";
import * as outbox from "./outbox.js";

export async function outboxScreen(state) {
  const open = state.items.filter((item) => item.state !== "sent");
  const sent = state.items.filter((item) => item.state === "sent").reverse();
  return [
    h("h1", {}, t("ph_outbox")),
    h("p", { class: "soft" }, t(open.length ? "ph_outbox_line" : "ph_outbox_empty")),
    open.length ? h("div", { class: "list" }, open.map(card)) : null,
    sent.length ? h("section", {}, h("h2", {}, t("ph_outbox_sent")), h("div", { class: "list" }, sent.map(card))) : null,
  ];
}

function card(item) {
  const tone = { sent: "good", failed: "bad" }[item.state] || "wait";
  return h("div", { class: `card item ${item.state}`, "data-item": item.id },
    h("div", {}, h("b", {}, t(item.word)), h("small", { class: "soft num" }, when(item.made))),
    chip(tone, t(`ph_item_${item.state}`)),
    item.state === "sending" || (item.hasBlob && item.state === "waiting") ? h("progress", { max: 1, value: item.progress, "aria-label": t(item.word) }) : null,
    item.tries && item.state === "waiting" ? h("p", { class: "small soft" }, t("ph_item_tries", { n: item.tries })) : null,
    item.problem
      ? [h("p", { class: "small bad" }, icon("bad"), item.problem.detail),
         h("div", { class: "two" }, button(t("ph_retry"), () => outbox.retry(item.id), { kind: "second", sign: "refresh" }), button(t("ph_drop"), () => outbox.drop(item.id), { kind: "second" }))]
      : null);
}
