// The borrower's money: a decision with its reasons before anything is signed, and paying back.

import { act, bodyOf, Cancelled, words } from "./acts.js";
import { forget } from "./keep.js";
import { fenOf } from "./money.js";
import { tell } from "./wire.js";

export const ASKED = "yundan-form-/v1/advances"; // the decided form on its way to the signing page, in this tab

const ask = document.querySelector("form[data-ask]");
if (ask) {
  const answer = document.querySelector("[data-answer]");
  const said = JSON.parse(answer.dataset.words);
  const spot = ask.querySelector("[data-trouble]");
  const chosen = () => ask.elements.trip.selectedOptions[0].dataset;
  const yuan = (fen) => `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, "0")}`;

  function show() {
    const trip = chosen();
    ask.querySelector("[data-driver-name]").textContent = trip.name;
    ask.querySelector("[data-account-said]").textContent = trip.account ? said.has_account : said.no_account;
    ask.querySelector("[data-owed]").textContent = said.owed.replace("{amount}", trip.owed);
  }

  function stale() {
    answer.querySelector("[data-after]").hidden = true;
    answer.querySelector("[data-before]").hidden = false;
    sessionStorage.removeItem(ASKED);
  }

  ask.elements.trip.addEventListener("change", () => {
    ask.elements.yuan.value = yuan(Number(chosen().freight));
    ask.dispatchEvent(new Event("input"));
    show();
  });
  ask.addEventListener("input", stale);
  if (!ask.elements.yuan.value) ask.elements.yuan.value = yuan(Number(chosen().freight));
  show();

  ask.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (ask.dataset.busy) return;
    const trip = chosen();
    const fen = fenOf(ask.elements.yuan.value);
    ask.elements.yuan.removeAttribute("aria-invalid");
    if (!fen) {
      ask.elements.yuan.setAttribute("aria-invalid", "true");
      return tell(spot, { message: words.unread }, words);
    }
    if (!trip.account) return tell(spot, { message: said.no_account }, words);
    ask.dataset.busy = "1";
    spot.hidden = true;
    const payees = [{ party: trip.driver, waybill: trip.leaf, account: trip.account, amount_fen: fen }];
    const body = { line: ask.elements.line.value, waybill: trip.waybill, trip: ask.elements.trip.value, principal_fen: fen, payees };
    try {
      const told = await act("/v1/advances/decision", { method: "POST", body });
      answer.querySelector("[data-before]").hidden = true;
      answer.querySelector("[data-after]").hidden = false;
      const verdict = answer.querySelector("[data-verdict]");
      verdict.textContent = said[told.verdict] ?? told.verdict;
      verdict.className = `verdict ${{ approve: "good", review: "warn", refuse: "bad" }[told.verdict] ?? ""}`;
      answer.querySelector("[data-score]").textContent = told.cap_fen === null ? "" : said.cap.replace("{amount}", said.sign + yuan(told.cap_fen));
      const list = told.reasons.map((one) => Object.assign(document.createElement("li"), { textContent: one[said.lang === "zh" ? "zh" : "en"] }));
      answer.querySelector("[data-reasons]").replaceChildren(...(list.length ? list : [Object.assign(document.createElement("li"), { textContent: said.no_reasons })]));
      answer.querySelector("[data-go]").hidden = !told.to_sign;
      if (told.to_sign) sessionStorage.setItem(ASKED, JSON.stringify(told.to_sign));
    } catch (error) {
      if (!(error instanceof Cancelled)) tell(spot, error, words);
    } finally {
      delete ask.dataset.busy;
    }
  });
  answer.querySelector("[data-go] a").addEventListener("click", () => forget(ask));
}

const repay = document.querySelector("form[data-repay]");
if (repay) {
  const said = JSON.parse(repay.dataset.words);
  const spot = repay.querySelector("[data-trouble]");
  repay.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = repay.elements.yuan;
    const fen = fenOf(field.value);
    const fault = !fen ? said.unread : fen > Number(repay.dataset.most) ? said.above : "";
    field.toggleAttribute("aria-invalid", Boolean(fault));
    if (fault) {
      field.setAttribute("aria-invalid", "true");
      return tell(spot, { message: fault }, {});
    }
    location.assign(`/sign?form=${encodeURIComponent(`${repay.dataset.repay}?amount_fen=${fen}`)}`);
  });
}
