// Signing: what is asked is shown in words and whole, then signed by the party's own key: a wallet in this browser
// (EIP-1193) or its own server. The platform only passes on; what another tab has signed is noticed.

import { ask, tell } from "./wire.js";

const box = document.querySelector("[data-sign]");
const words = JSON.parse(box.dataset.words);
const path = box.dataset.sign;
const trouble = box.querySelector("[data-trouble]");
const wallet = box.querySelector("[data-wallet]");
const done = box.querySelector("[data-done]");
let form = null;

const MONEY = new Set(["freight", "amount", "principal"]); // in fen
const TIMES = new Set(["loadFrom", "deliverBy", "approvedUntil", "expires", "at"]); // in seconds
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

wallet.addEventListener("click", async () => {
  if (wallet.getAttribute("aria-disabled") || !form) return;
  wallet.setAttribute("aria-disabled", "true");
  trouble.hidden = true;
  try {
    const [account] = await window.ethereum.request({ method: "eth_requestAccounts" });
    const types = { EIP712Domain: [{ name: "name", type: "string" }, { name: "version", type: "string" }, { name: "chainId", type: "uint256" }, { name: "verifyingContract", type: "address" }], ...form.types };
    const signature = await window.ethereum.request({ method: "eth_signTypedData_v4", params: [account, JSON.stringify({ ...form, types })] });
    const isWaybill = path.startsWith("/v1/waybills/");
    await ask(isWaybill ? `${path}/signatures` : path, {
      method: "POST",
      body: isWaybill ? { signature } : { message: form.message, signature },
      once: `sign-${signature.slice(2, 66)}`,
    });
    finish();
  } catch (error) {
    tell(trouble, error.code === 4001 ? { message: words.refused } : error, words);
    wallet.removeAttribute("aria-disabled");
  }
});

look();
// Signed elsewhere (own server, another tab, back after signing): this page notices and asks for nothing more.
setInterval(() => !document.hidden && done.hidden && look(), 4000);
addEventListener("pageshow", (event) => event.persisted && look());
