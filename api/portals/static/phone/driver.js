// The driver's app: one task at a time, his money, his outbox, his key. It shows what it last knew at once and
// asks the server behind that.

import { setOffset } from "./clock.js";
import { accountScreen, askLogin, welcomeScreen } from "./driver_account.js";
import { moneyScreen } from "./driver_money.js";
import { outboxScreen } from "./driver_outbox.js";
import { jobsScreen, stepOf } from "./driver_task.js";
import { button, h, icon, language, loadWords, notice, t } from "./look.js";
import * as outbox from "./outbox.js";
import { keep, kept, onChange } from "./store.js";
import { fetchLink } from "./work.js";
import { findKey } from "./vault.js";
import { ask, NoAnswer, Problem } from "./wire.js";

const main = document.getElementById("main");
const state = { party: null, name: "", tasks: [], domain: null, items: [], online: true, login: false };
const SCREENS = { "": jobsScreen, task: jobsScreen, money: moneyScreen, outbox: outboxScreen, me: accountScreen };
let timer = null;
let drawn = 0;

async function remember() {
  const told = await kept("tasks");
  Object.assign(state, {
    party: await kept("party"),
    name: await kept("name", ""),
    login: await kept("needs-login", false),
    items: await outbox.list(),
    address: await findKey(),
  });
  if (told) {
    setOffset(told.offset);
    Object.assign(state, { tasks: told.data, domain: told.domain });
  }
}

export async function look() {
  clearTimeout(timer);
  if (state.party && (await kept("token")) && !document.hidden) {
    try {
      const told = await ask("/v1/driver/tasks");
      const offset = Date.parse(told.at) - Date.now();
      await keep("tasks", { data: told.data, domain: told.domain, offset });
      setOffset(offset);
      Object.assign(state, { tasks: told.data, domain: told.domain, online: true });
      await fetchLinks();
    } catch (error) {
      if (error instanceof NoAnswer) state.online = false;
      else if (error instanceof Problem && error.status === 401) {
        await keep("needs-login", true);
        state.login = true;
      } else if (!(error instanceof Problem)) throw error;
    }
    await draw();
  }
  const busy = state.tasks.some((task) => ["wait_firm", "wait_chain", "receipt", "money"].includes(stepOf(task, state.items)));
  timer = setTimeout(look, busy ? 2000 : 15000);
}

async function fetchLinks() {
  for (const task of state.tasks) {
    if (task.trip_state === "loaded" && !task.confirmed_at && !(await kept(`link.${task.trip}`))) await fetchLink(task);
  }
}

function bar() {
  const open = state.items.filter((item) => item.state !== "sent");
  const failed = open.some((item) => item.state === "failed");
  const here = location.hash.replace(/^#\/?/, "").split("/")[0];
  const tab = (address, sign, word, badge = null) =>
    h("a", { href: `#/${address}`, "aria-current": here === address ? "page" : null }, icon(sign), h("span", {}, t(word)), badge);
  return h(
    "nav",
    { class: "tabs", "aria-label": t("ph_navigation") },
    tab("", "steering", "ph_tab_task"),
    tab("money", "money", "ph_tab_money"),
    tab("outbox", "send", "ph_tab_outbox", open.length ? h("b", { class: failed ? "badge bad" : "badge", "data-waiting": String(open.length) }, String(open.length)) : null),
    tab("me", "person", "ph_tab_me"),
  );
}

function head() {
  return h(
    "header",
    { class: "top" },
    h("span", { class: "brand" }, icon("truck"), h("b", {}, t("app_name"))),
    state.online ? null : h("span", { class: "chip warn" }, icon("warn"), t("ph_offline")),
    h("button", {
      class: "plain", type: "button",
      async onclick() {
        language(language() === "zh" ? "en" : "zh");
        await draw();
      },
    }, t("other_lang")),
  );
}

export async function draw() {
  drawn += 1;
  const turn = drawn;
  state.items = await outbox.list();
  state.login = await kept("needs-login", false);
  const place = location.hash.replace(/^#\/?/, "").split("/");
  if (!state.party) {
    if (!document.querySelector("form.welcome")) main.replaceChildren(head(), welcomeScreen(enter));
    return;
  }
  const screen = SCREENS[place[0]] ?? jobsScreen;
  const made = await screen(state, place.slice(1), { draw, look });
  if (turn !== drawn) return;
  const login = state.login
    ? h("div", { class: "notice warn", role: "status" }, icon("lock"), h("div", {}, t("ph_login_again"), button(t("ph_enter_pin"), async () => {
        if (await askLogin()) await look();
      }, { kind: "small" })))
    : null;
  // What the reader holds in his hand stays: a page that is being typed into is not drawn anew.
  const active = document.activeElement;
  if (main.contains(active) && ["INPUT", "TEXTAREA"].includes(active.tagName)) return;
  const focus = main.contains(active) ? active.getAttribute("data-focus") : null;
  const scroll = window.scrollY;
  main.replaceChildren(head(), h("div", { class: "page" }, login, made), bar());
  window.scrollTo(0, scroll);
  if (focus) main.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
}

async function enter() {
  await remember();
  location.hash = "#/";
  await draw();
  await look();
}

async function begin() {
  await loadWords();
  try {
    await remember();
  } catch {
    main.replaceChildren(head(), notice("bad", t("ph_no_storage")));
    return;
  }
  addEventListener("hashchange", () => {
    window.scrollTo(0, 0);
    draw();
  });
  onChange((what) => {
    if (what === "sent") look();
    else draw();
  });
  addEventListener("online", look);
  addEventListener("offline", () => {
    state.online = false;
    draw();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  outbox.start();
  await draw();
  await look();
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("/driver/sw.js", { scope: "/driver" });
    navigator.storage?.persist?.();
  }
  document.documentElement.dataset.ready = "1";
}

begin();
