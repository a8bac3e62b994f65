// A new waybill: the chain of parties is drawn while it is typed, with the rule it breaks; the draft outlives the page.

import { fenOf as readFen } from "./money.js";
import { ask, newKey, tell } from "./wire.js";

const form = document.querySelector("[data-new]");
const words = JSON.parse(form.dataset.words);
const drawing = document.querySelector("[data-drawing]");
const trouble = document.querySelector("[data-trouble]");
const tiers = form.querySelector("[data-tiers]");
const KEY = "yundan-new-waybill";
const parties = new Map([...form.querySelectorAll("#parties option")].map((one) => [one.value, one.dataset.id]));
const idOf = (text) => parties.get(text.trim()) ?? (/^(?:pty_)?[0-9]{1,20}$/.test(text.trim()) ? text.trim() : "");
const fenOf = (text) => readFen(text) ?? 0;

function addTier(values = {}) {
  const row = form.querySelector("template").content.cloneNode(true).firstElementChild;
  const place = tiers.children.length;
  for (const field of row.querySelectorAll("[name]")) {
    field.value = values[field.name] ?? "";
    field.id = `${field.name}-${place}`;
    field.previousElementSibling.htmlFor = field.id;
  }
  row.querySelector("[data-drop]").addEventListener("click", () => {
    row.remove();
    draw();
  });
  tiers.append(row);
}

const read = () => ({
  once: form.dataset.once,
  fields: Object.fromEntries([...form.querySelectorAll("[data-field]")].map((one) => [one.name, one.value])),
  tiers: [...tiers.children].map((row) => Object.fromEntries([...row.querySelectorAll("[name]")].map((one) => [one.name, one.value]))),
});

function faultsOf({ tiers: rows, fields }) {
  const names = [fields.first, ...rows.map((row) => row.performer)].map((text) => text.trim());
  const found = rows.map(() => "");
  rows.forEach((row, place) => {
    const fen = fenOf(row.freight);
    const above = place ? fenOf(rows[place - 1].freight) : Infinity;
    if (row.freight && !fen) found[place] = words.bad_amount;
    else if (fen > above) found[place] = words.above_parent;
    else if (row.performer && names.indexOf(row.performer.trim()) !== place + 1) found[place] = words.twice;
    else if (row.performer && !idOf(row.performer)) found[place] = words.unknown;
  });
  return found;
}

function draw() {
  const now = read();
  localStorage.setItem(KEY, JSON.stringify(now));
  const faults = faultsOf(now);
  const node = (name, role) => {
    const made = document.createElement("div");
    made.className = `node${name ? "" : " missing"}`;
    const title = document.createElement("b");
    title.textContent = name || words.missing;
    const small = document.createElement("span");
    small.className = "small soft";
    small.textContent = role;
    made.append(title, small);
    return made;
  };
  const arrow = (text, fault) => {
    const made = document.createElement("div");
    made.className = "arrow";
    const amount = document.createElement("span");
    amount.className = "num";
    amount.textContent = text;
    const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    line.setAttribute("viewBox", "0 0 100 10");
    line.setAttribute("preserveAspectRatio", "none");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", "M0 5H98M92 1l6 4-6 4");
    line.append(path);
    made.append(amount, line);
    if (fault) {
      const why = document.createElement("span");
      why.className = "bad small";
      why.textContent = fault;
      made.append(why);
    }
    return made;
  };
  const parts = [node(now.fields.first, words.role_first)];
  now.tiers.forEach((row, place) => {
    parts.push(arrow(row.freight ? `${words.sign}${Number(row.freight || 0).toFixed(2)}` : "–", faults[place]));
    parts.push(node(row.performer, place === now.tiers.length - 1 && now.fields.plate ? `${words.role_last} · ${now.fields.plate}` : words.role_middle));
  });
  parts.push(arrow(now.fields.goods || "–", ""), node(now.fields.consignee, words.role_consignee));
  drawing.replaceChildren(...parts);
}

form.addEventListener("input", draw);
form.querySelector("[data-add]").addEventListener("click", () => {
  addTier();
  draw();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button[data-send]");
  if (button.getAttribute("aria-disabled")) return;
  const now = read();
  const fault = faultsOf(now).find(Boolean);
  trouble.hidden = true;
  const strangers = ["first", "consignee"].map((name) => form.elements[name]).filter((field) => !idOf(field.value));
  for (const name of ["first", "consignee"]) form.elements[name].removeAttribute("aria-invalid");
  for (const field of strangers) field.setAttribute("aria-invalid", "true");
  if (strangers.length) {
    tell(trouble, { message: `${strangers[0].labels[0].textContent} · ${words.unknown}` }, words);
    return strangers[0].focus();
  }
  if (fault) return tell(trouble, { message: fault }, words);
  button.setAttribute("aria-disabled", "true");
  const when = (text) => new Date(`${text}:00+08:00`).toISOString().replace(".000", "");
  const { fields } = now;
  try {
    let parent = null;
    let issuer = idOf(fields.first);
    for (const [place, row] of now.tiers.entries()) {
      const leaf = place === now.tiers.length - 1 && fields.plate;
      const body = {
        parent, issuer, performer: idOf(row.performer), consignee: idOf(fields.consignee),
        shipping_note: fields.shipping_note, goods: fields.goods, unit: fields.unit,
        quantity_milli: Math.round(Number(fields.quantity) * 1000), freight_fen: fenOf(row.freight),
        load_from: when(fields.load_from), deliver_by: when(fields.deliver_by), term_days: Number(fields.term_days),
        ...(leaf ? { serial: fields.serial, plate: fields.plate, terminal: fields.terminal, route: fields.route } : {}),
      };
      const made = await ask("/v1/waybills", { method: "POST", body, once: `${form.dataset.once}-${place}` });
      parent = made.id;
      issuer = body.performer;
    }
    localStorage.removeItem(KEY);
    location.assign("/firm");
  } catch (error) {
    tell(trouble, error, words);
    button.removeAttribute("aria-disabled");
  }
});

// A draft that was not sent is still there after a reload, an ended session or "back"; sent again, it is sent once.
const kept = JSON.parse(localStorage.getItem(KEY) ?? "null");
form.dataset.once = kept?.once ?? newKey();
if (kept) for (const [name, value] of Object.entries(kept.fields)) if (form.elements[name]) form.elements[name].value = value;
for (const row of kept?.tiers?.length ? kept.tiers : [{}, {}]) addTier(row);
draw();
