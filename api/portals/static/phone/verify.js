// A signed receipt, hashed again here: the reader's browser does the sums, our server only gives the paper.

import { button, h, icon, language, loadWords, quantity, t, when } from "./look.js";
import { documentHash } from "./typed.js";
import { ask, NoAnswer } from "./wire.js";

const main = document.getElementById("main");
const claimed = location.pathname.split("/").at(-1);

function head() {
  return h("header", { class: "top" }, h("span", { class: "brand" }, icon("truck"), h("b", {}, t("app_name"))),
    h("button", { class: "plain", type: "button", onclick: () => { language(language() === "zh" ? "en" : "zh"); begin(); } }, t("other_lang")));
}

const fill = (...children) => main.replaceChildren(head(), h("div", { class: "page" }, children));

function line(good, text) {
  return h("div", { class: good ? "yes" : "no", "data-holds": String(good) }, icon(good ? "good" : "bad"), h("span", {}, text));
}

async function begin() {
  await loadWords();
  document.title = `${t("ph_verify_title")} · ${t("app_name")}`;
  let paper;
  try {
    paper = await ask(`/v1/receipt-papers/${claimed}`, { open: true });
  } catch (error) {
    fill(h("div", { class: "card stamp bad" }, icon("bad"), h("h1", {}, t(error instanceof NoAnswer ? "ph_needs_network" : "ph_no_receipt")), button(t("ph_retry"), begin)));
    document.documentElement.dataset.ready = "1";
    return;
  }
  const hashed = documentHash(paper.content, paper.salt);
  const matches = hashed === claimed;
  const good = matches && paper.on_chain;
  const { content } = paper;
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  fill(
    h("div", { class: `card stamp ${good ? "" : matches ? "warn" : "bad"}` }, icon(good ? "good" : matches ? "wait" : "bad"), h("h1", {}, t(good ? "ph_verified" : matches ? "ph_verify_waits" : "ph_verify_fails"))),
    h("div", { class: "card match" },
      line(matches, t(matches ? "ph_hash_matches" : "ph_hash_differs")),
      line(paper.on_chain, paper.on_chain ? t("ph_hash_on_chain", { block: paper.block }) : t("ph_hash_not_yet"))),
    h("dl", { class: "card facts" },
      fact(t("ph_outcome"), t(content.outcome === "refused" ? "ph_done_refused" : content.condition ? "ph_out_exception" : "ph_out_sound")),
      fact(t("ph_goods"), content.goods),
      fact(t("ph_accepted"), h("span", { class: "num" }, `${quantity(content.accepted_milli, content.unit)} / ${quantity(content.loaded_milli, content.unit)}`)),
      content.note ? fact(t("ph_note_free"), content.note) : null,
      fact(t("ph_your_name"), content.signer),
      fact(t("ph_signed_at"), when(paper.signed_at)),
      fact(t("ph_note"), `${content.shipping_note}·${content.serial}`)),
    h("details", { class: "card" }, h("summary", {}, t("ph_for_auditors")), h("pre", { class: "mono", tabindex: "0" }, JSON.stringify({ recomputed: hashed, ...paper }, null, 1))),
  );
  document.documentElement.dataset.ready = "1";
}

begin();

