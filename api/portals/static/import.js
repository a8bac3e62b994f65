// Import: a file is checked first (nothing is written), its bad cells are shown red, then it is imported; progress over SSE.

import { ask, newKey, tell } from "./wire.js";

const box = document.querySelector("[data-import]");
const words = JSON.parse(box.dataset.words);
const find = (name) => box.querySelector(`[data-${name}]`);
const [drop, picker, report, bar, state, table, actions, trouble] = ["drop", "file", "report", "bar", "state", "cells", "actions", "trouble"].map(find);
const TYPES = { csv: "text/csv", xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" };
let file = null;
let preview = [];

for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}
picker.addEventListener("change", () => picker.files[0] && take(picker.files[0]));

function cells(text) {
  const rows = [];
  let row = [""];
  let quoted = false;
  for (let at = 0; at < text.length && rows.length < 31; at++) {
    const char = text[at];
    if (quoted) {
      if (char === '"' && text[at + 1] === '"') row[row.length - 1] += text[++at];
      else if (char === '"') quoted = false;
      else row[row.length - 1] += char;
    } else if (char === '"') quoted = true;
    else if (char === ",") row.push("");
    else if (char === "\n") {
      rows.push(row);
      row = [""];
    } else if (char !== "\r") row[row.length - 1] += char;
  }
  if (row.length > 1) rows.push(row);
  return rows;
}

async function take(chosen) {
  file = chosen;
  trouble.hidden = true;
  find("name").textContent = `${file.name} · ${(file.size / 1024).toFixed(0)} kB`;
  preview = file.name.toLowerCase().endsWith(".csv") ? cells((await file.text()).replace(/^\ufeff/, "")) : [];
  await run(true, "all");
}

async function run(dry, mode) {
  const kind = TYPES[file.name.split(".").pop().toLowerCase()];
  if (!kind) return tell(trouble, { message: words.kinds }, words);
  actions.replaceChildren();
  report.hidden = false;
  bar.hidden = false;
  bar.removeAttribute("value");
  state.textContent = words.sending;
  try {
    const once = `import-${file.name.replace(/[^\w.-]/g, "_")}-${file.size}-${file.lastModified}-${mode}-${dry}-${box.dataset.page}`.slice(0, 200);
    const job = await ask(`/v1/jobs/imports?mode=${mode}&dry_run=${dry}`, { method: "POST", body: file, type: kind, once });
    watch(job, dry);
  } catch (error) {
    bar.hidden = true;
    state.textContent = "";
    tell(trouble, error, words);
  }
}

function watch(job, dry) {
  const stream = new EventSource(`/v1/jobs/${job.id}/events`);
  const show = (event) => {
    const now = JSON.parse(event.data);
    if (now.total) {
      bar.max = now.total;
      bar.value = now.done;
    }
    state.textContent = words.progress.replace("{done}", now.done).replace("{total}", now.total ?? "…").replace("{bad}", now.bad);
    return now;
  };
  stream.addEventListener("progress", show);
  stream.addEventListener("end", async (event) => {
    stream.close();
    await ended(show(event), dry);
  });
}

async function ended(job, dry) {
  bar.hidden = true;
  if (job.state !== "done" && job.message) tell(trouble, { message: job.message, field: job.code }, words);
  const faults = (await ask(`/v1/jobs/${job.id}/faults?limit=500`)).data;
  draw(faults);
  const add = (text, className, act) => {
    const button = document.createElement(act ? "button" : "a");
    button.className = `btn ${className}`;
    button.textContent = text;
    if (act) {
      button.type = "button";
      button.addEventListener("click", act, { once: true });
    }
    actions.append(button);
    return button;
  };
  if (job.bad) add(words.corrections, "btn-plain").href = `/v1/jobs/${job.id}/corrections`;
  if (dry) {
    if (job.good) add((job.bad ? words.import_good : words.import_all).replace("{n}", job.good), "btn-primary", () => run(false, job.bad ? "good" : "all"));
  } else if (job.written) {
    state.textContent = words.written.replace("{n}", job.written);
    add(words.to_sign, "btn-primary").href = "/firm";
  }
}

function draw(faults) {
  table.replaceChildren();
  const at = new Map();
  for (const fault of faults) at.set(`${fault.row}/${fault.column}`, fault.message);
  const cell = (kind, text, bad) => {
    const made = document.createElement(kind);
    made.textContent = text;
    if (bad) {
      made.className = "fault";
      const why = document.createElement("div");
      why.className = "small";
      why.textContent = bad;
      made.append(why);
    }
    return made;
  };
  if (preview.length) {
    const head = document.createElement("tr");
    head.append(cell("th", "#"), ...preview[0].map((name) => cell("th", name)));
    table.createTHead().append(head);
    const body = table.createTBody();
    preview.slice(1, 21).forEach((row, index) => {
      const line = index + 2;
      const made = document.createElement("tr");
      made.append(cell("td", String(line)), ...row.map((text, column) => cell("td", text, at.get(`${line}/${preview[0][column]}`))));
      body.append(made);
    });
  }
  const list = find("faults");
  list.replaceChildren(
    ...faults.slice(0, 200).map((fault) => {
      const made = document.createElement("tr");
      made.append(cell("td", String(fault.row)), cell("td", fault.cell ? `${fault.column} (${fault.cell})` : fault.column), cell("td", "", fault.message));
      return made;
    }),
  );
  find("fault-table").hidden = !faults.length;
  find("preview").hidden = !preview.length;
}
