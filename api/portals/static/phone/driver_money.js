// Where is my money: one clock from the consignee's signature to the account, each stage with its time.

import { chip, clock, h, icon, money, t, when } from "./look.js";
import { now } from "./clock.js";

export async function moneyScreen(state) {
  const told = state.tasks.filter((task) => task.money.length);
  told.sort((a, b) => Date.parse(b.confirmed_at || b.loaded_at) - Date.parse(a.confirmed_at || a.loaded_at));
  if (!told.length) {
    return h("div", { class: "empty-state" }, icon("money"), h("h1", {}, t("ph_no_money")), h("p", {}, t("ph_no_money_line")));
  }
  const sum = told.reduce((all, task) => all + task.paid_fen, 0);
  return [
    h("h1", { class: "hidden-text" }, t("ph_tab_money")),
    h("div", { class: "card pay" }, h("p", { class: "soft" }, t("ph_received")), h("p", { class: "big num", "data-received": String(sum) }, money(sum))),
    told.map(moneyCard),
  ];
}

function moneyCard(task) {
  const begun = task.confirmed_at ? Date.parse(task.confirmed_at) : null;
  const end = task.money.at(-1).at ? Date.parse(task.money.at(-1).at) : null;
  const first = task.money.findIndex((stage) => !stage.at);
  const elapsed = begun === null ? null : ((end ?? now()) - begun) / 1000;
  return h("section", { class: "card money", "data-trip": task.trip },
    h("header", {}, h("h2", {}, `${task.origin} → ${task.destination}`), h("b", { class: "num" }, money(task.paid_fen || task.net_fen))),
    elapsed === null
      ? h("p", { class: "soft" }, t("ph_clock_waits"))
      : h("p", { class: "clock" }, h("span", { class: "num", "data-clock": end ? "stopped" : "running" }, clock(end ? Math.max(1, Math.ceil(elapsed)) : elapsed)), h("small", {}, t(end ? "ph_clock_done" : "ph_clock_since"))),
    h("ol", { class: "stages" }, task.money.map((stage, place) =>
      h("li", { class: stage.at ? "done" : place === first ? "now" : "", "data-stage": stage.stage }, h("i", {}, icon(stage.at ? "good" : "wait")), h("span", {}, t(`ph_money_${stage.stage}`)), h("time", { class: "num" }, stage.at ? when(stage.at) : "–")))),
    task.disputed ? chip("warn", t("ph_step_held")) : null,
    h("p", { class: "small soft" }, t("ph_no_deduction", { freight: money(task.freight_fen), net: money(task.net_fen) })));
}
