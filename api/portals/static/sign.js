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

const MONEY = new Set(["freight", "amount", "principal", "limit"]); // in fen
const TIMES = new Set(["loadFrom", "deliverBy", "approvedUntil", "validUntil", "expires", "at"]); // in seconds
const beijing = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Shanghai", dateStyle: "short", timeStyle: "short" });
const yuan = new Intl.NumberFormat("en", { minimumFractionDigits: 2 });

/** A signed value as people read it; what the key signs stands whole under the raw data. */
function readable(name, value) {
  if (MONEY.has(name)) return words.sign + yuan.format(Number(value) / 100);
  if (TIMES.has(name)) return beijing.format(new Date(Number(value) * 1000));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function show(toSign) {
  const list = box.querySelector("[data-message]");
  list.replaceChildren(
    ...Object.entries(toSign.message).map(([name, value]) => {
      const row = document.createElement("div");
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = words.names[name] || name;
      term.title = name;
      text.textContent = readable(name, value);
      text.className = MONEY.has(name) || TIMES.has(name) ? "num strong" : "mono";
      row.append(term, text);
      return row;
    }),
  );
  box.querySelector("[data-type]").textContent = toSign.primaryType;
  box.querySelector("[data-contract]").textContent = toSign.domain.verifyingContract;
  box.querySelector("[data-raw]").textContent = JSON.stringify(toSign, null, 1);
}

function finish() {
  done.hidden = false;
  box.querySelector("[data-ways]").hidden = true;
  trouble.hidden = true;
}

async function look() {
  try {
    const told = await ask(path);
    if (signing) return; // what is before the signer stays as it is
    if (!told.to_sign) return finish();
    form = told.to_sign;
    show(form);
    wallet.removeAttribute("aria-disabled");
  } catch (error) {
    if (form && error.status === 409) return finish();
    tell(trouble, error, words);
  }
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
  const request = { method: "POST", path: isWaybill ? `${path}/signatures` : path.split("?")[0] };
  try {
    const { message, signature } = await signer(form);
    // a change of a line names whose signature it is: the borrower signs a higher limit too
    request.body = isWaybill ? { signature } : path.startsWith("/v1/lines/") ? { message, lender_signature: signature } : { message, signature };
    await act(request.path, { ...request, once: `sign-${signature.slice(2, 66)}` });
    finish();
  } catch (error) {
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
