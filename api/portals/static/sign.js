// Signing: what is asked is shown in words and whole, then signed by the party's own key: a wallet in this browser
// (EIP-1193) or its own server. The platform only passes on; what another tab has signed is noticed.

import { act, Cancelled, offerSecondPerson } from "./acts.js";
import { connect } from "./wallet.js";
import { ask, tell } from "./wire.js";

const box = document.querySelector("[data-sign]");
const words = JSON.parse(box.dataset.words);
const path = box.dataset.sign;
const trouble = box.querySelector("[data-trouble]");
const wallet = box.querySelector("[data-wallet]");
const done = box.querySelector("[data-done]");
let form = null;
let signing = false;

const MONEY = new Set(["freight", "amount", "principal", "limit", "most"]); // in fen
const TIMES = new Set(["loadFrom", "deliverBy", "approvedUntil", "validUntil", "expires", "at"]); // in seconds
const PARTIES = new Set(["issuer", "performer", "consignee", "debtor", "lender", "borrower", "party", "attestor"]);
const SHARES = { Ppm: 10_000, Bps: 100 }; // how many of them are a per cent
const beijing = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Shanghai", dateStyle: "short", timeStyle: "short" });
const yuan = (fen) => words.sign + new Intl.NumberFormat("en", { minimumFractionDigits: 2 }).format(Number(fen) / 100);
const ACTS = ["", "default", "write_off", "later_start", "decline", "waive", "extend"];
const [LATER_START, WAIVE, EXTEND] = [3, 5, 6];
const names = new Map(); // a party's number -> what people call it, asked once

async function nameOf(party) {
  if (!names.has(party)) {
    const told = await ask(`/v1/parties/${party}`).catch(() => ({}));
    names.set(party, (document.documentElement.lang.startsWith("zh") ? told.name_zh : told.name_en) || party);
  }
  return names.get(party);
}

/** What a LenderAct's value is depends on its act: fen, a Beijing day, or nothing. */
function valueOf(value, message) {
  if (Number(message.act) === WAIVE) return yuan(value);
  if ([LATER_START, EXTEND].includes(Number(message.act))) return new Date(Number(value) * 86_400_000).toISOString().slice(0, 10);
  return "";
}

/** A signed value as people read it; "" leaves it to the raw data, where what the key signs stands whole. */
async function readable(name, value, message) {
  if (MONEY.has(name)) return yuan(value);
  if (TIMES.has(name)) return beijing.format(new Date(Number(value) * 1000));
  if (PARTIES.has(name)) return nameOf(String(value));
  if (name === "payees") return (await Promise.all(value.map(async (one) => `${await nameOf(String(one.party))} ${yuan(one.amount)}`))).join("\n");
  if (name === "act") return words.acts[ACTS[Number(value)]] ?? String(value);
  if (name === "value") return valueOf(value, message);
  if (name === "open") return value ? words.release : words.cancel;
  if (name === "quantity" || name === "accepted" || name === "loaded") return String(Number(value) / 1000);
  if (typeof value === "boolean") return value ? words.yes : words.no;
  const share = Object.entries(SHARES).find(([end]) => name.endsWith(end));
  if (share) return `${(Number(value) / share[1]).toFixed(2)}%`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const isHash = (value) => typeof value === "string" && /^0x[0-9a-fA-F]{40,}$/.test(value);

function row(term, text, style, title = "") {
  const made = document.createElement("div");
  const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
  Object.assign(dt, { textContent: term, title });
  Object.assign(dd, { textContent: text, className: style });
  made.append(dt, dd);
  return made;
}

/** The form in words: what is agreed first, then the hashes that it hangs on, folded away. */
async function show(toSign, papers = {}) {
  const { message } = toSign;
  const told = Object.entries(papers).filter(([name, value]) => words.papers[name] && typeof value === "string" && value);
  const agreed = [];
  const hashes = [];
  for (const [name, value] of Object.entries(message)) {
    if (isHash(value)) hashes.push(row(words.names[name] || name, value, "mono", name));
    else {
      const text = await readable(name, value, message);
      if (text !== "" && !(name === "parent" && !Number(value))) agreed.push(row(words.names[name] || name, text, MONEY.has(name) || TIMES.has(name) ? "num strong" : "strong lines", name));
    }
  }
  box.querySelector("[data-message]").replaceChildren(...told.map(([name, value]) => row(words.papers[name], value, "strong")), ...agreed);
  box.querySelector("[data-hashes]").replaceChildren(...hashes);
  box.querySelector("[data-type]").textContent = toSign.primaryType;
  box.querySelector("[data-contract]").textContent = toSign.domain.verifyingContract;
  box.querySelector("[data-raw]").textContent = JSON.stringify(toSign, null, 1);
}

function finish() {
  sessionStorage.removeItem(GIVEN);
  if (CARRIED) sessionStorage.removeItem(CARRIED);
  done.hidden = false;
  box.querySelector("[data-ways]").hidden = true;
  trouble.hidden = true;
}

// A form that a page had decided on (an advance) waits in this tab; every other is asked for where it is signed.
const CARRIED = path === "/v1/advances" ? `yundan-form-${path}` : "";

async function fetchForm() {
  if (!CARRIED) return ask(path);
  const kept = sessionStorage.getItem(CARRIED);
  return kept ? { to_sign: JSON.parse(kept) } : { to_sign: null, gone: true };
}

async function look() {
  try {
    const told = await fetchForm();
    if (signing) return; // what is before the signer stays as it is
    if (told.gone && form === null) return tell(trouble, { message: words.gone }, words);
    if (!told.to_sign) return finish();
    if (form !== null && !CARRIED && sameButSalt(form, told.to_sign)) return;
    form = given()?.form ?? told.to_sign;
    await show(form, told.papers);
    wallet.removeAttribute("aria-disabled");
    if (given()) tell(trouble, { message: words.signed_already }, words);
  } catch (error) {
    if (form && error.status === 409) return finish();
    tell(trouble, error, words);
  }
}

/** A form asked for again differs in its salt and its end alone: what the signer reads need not move. */
function sameButSalt(one, other) {
  const bare = ({ message }) => JSON.stringify({ ...message, salt: "", expires: "" });
  return bare(one) === bare(other);
}

// What was signed and could not be handed in (an ended session, a lost network) is kept in this tab and goes again
// as it was signed, so that nobody signs twice.
const GIVEN = `yundan-signed-${path}`;
const KEPT_MS = 3_600_000;
function given() {
  const kept = JSON.parse(sessionStorage.getItem(GIVEN) ?? "null");
  return kept && Date.now() - kept.at < KEPT_MS ? kept : null;
}

if (!window.ethereum) {
  wallet.hidden = true;
  box.querySelector("[data-no-wallet]").hidden = false;
}

/** Has the form signed by one of the ways, and passes it on; another press meanwhile is none. */
async function signBy(button, signer) {
  if (button.getAttribute("aria-disabled") || signing || !form) return;
  signing = true;
  trouble.hidden = true;
  button.setAttribute("aria-disabled", "true");
  const isWaybill = path.startsWith("/v1/waybills/");
  const signatures = isWaybill || path.startsWith("/v1/line-offers/");
  const request = { method: "POST", path: signatures ? `${path}/signatures` : path.split("?")[0] };
  try {
    const { message, signature } = given()?.answer ?? (await signer(form));
    sessionStorage.setItem(GIVEN, JSON.stringify({ form, at: Date.now(), answer: { message, signature } }));
    // a change of a line names whose signature it is: the borrower signs a higher limit too
    request.body = isWaybill ? { signature } : path.startsWith("/v1/lines/") ? { message, lender_signature: signature } : { message, signature };
    const told = await act(request.path, { ...request, once: `sign-${signature.slice(2, 66)}` });
    const next = box.querySelector("[data-next]");
    if (next && CARRIED && told.id) next.href = `/firm/advances/${told.id.replace("adv_", "0x")}`;
    finish();
  } catch (error) {
    // a refusal is final: the next press signs anew; what could not be asked is handed in again as it is
    if (error.status && ![401, 403, 408, 429].includes(error.status) && error.status < 500) sessionStorage.removeItem(GIVEN);
    if (error.code === "second_person_needed") offerSecondPerson(trouble, request, words);
    else if (error.code === 4001) tell(trouble, { message: words.refused }, words);
    else if (!(error instanceof Cancelled)) tell(trouble, words[error.code] ? { message: words[error.code] } : error, words);
  } finally {
    signing = false;
    button.removeAttribute("aria-disabled");
  }
}

wallet.addEventListener("click", () => signBy(wallet, async (asked) => (await connect(window.ethereum)).sign(asked)));
const platform = box.querySelector("[data-platform]");
platform?.addEventListener("click", () => signBy(platform, (asked) => act("/v1/party-keys/platform/signatures", { method: "POST", body: { to_sign: asked } })));

look();
// Signed elsewhere (own server, another tab, back after signing): this page notices and asks for nothing more.
setInterval(() => !document.hidden && done.hidden && look(), 4000);
addEventListener("pageshow", (event) => event.persisted && look());
