// What the driver has done and the server has not yet heard. Each act is written down before it is sent, is
// sent in the order it was done, by one tab at a time, under an Idempotency-Key that never changes: cut off
// anywhere, it is sent again and counts once.

import { db, keep, kept, tell } from "./store.js";
import { NoAnswer, Problem, upload } from "./wire.js";

const KEEP_SENT = 40;
let timer = null;
let turn = 0;

// Writes an act down. The same act (id) again, while it waits or once it is sent, is the act that is there.
export async function add(item, blob = null) {
  const base = await db();
  const write = base.transaction(["outbox", "blobs"], "readwrite");
  const known = await write.objectStore("outbox").get(item.id);
  if (known && known.state !== "failed") {
    await write.done;
    return known;
  }
  turn += 1;
  const whole = {
    method: "POST",
    type: "application/json",
    body: null,
    keepAs: null,
    facts: {},
    ...item,
    once: `${item.id}.${crypto.randomUUID()}`,
    order: Date.now() * 1000 + (turn % 1000),
    made: Date.now(),
    state: "waiting",
    tries: 0,
    next: 0,
    progress: 0,
    problem: null,
    hasBlob: blob !== null,
  };
  if (blob) await write.objectStore("blobs").put(blob, item.id);
  await write.objectStore("outbox").put(whole);
  await write.done;
  tell("outbox");
  flush();
  return whole;
}

export async function list() {
  const items = await (await db()).getAll("outbox");
  return items.sort((a, b) => a.order - b.order);
}

export async function waiting() {
  return (await list()).filter((item) => item.state !== "sent");
}

export async function blobOf(id) {
  return (await db()).get("blobs", id);
}

// Sends a refused act again, or takes it off the list; only a person decides that.
export async function retry(id) {
  await change(id, { state: "waiting", next: 0, problem: null });
  flush();
}

export async function drop(id) {
  const base = await db();
  const write = base.transaction(["outbox", "blobs"], "readwrite");
  await write.objectStore("outbox").delete(id);
  await write.objectStore("blobs").delete(id);
  await write.done;
  tell("outbox");
}

async function change(id, facts) {
  const base = await db();
  const write = base.transaction("outbox", "readwrite");
  const item = await write.store.get(id);
  if (item) await write.store.put({ ...item, ...facts });
  await write.done;
  tell("outbox");
}

export function flush() {
  return navigator.locks.request("yundan outbox", { ifAvailable: true }, async (lock) => {
    if (lock) await sendAll();
  });
}

// After `ms`, and never later than it was planned before.
function again(ms) {
  clearTimeout(timer);
  timer = setTimeout(flush, ms);
}

async function sendAll() {
  for (;;) {
    const open = (await list()).filter((item) => item.state === "waiting" || item.state === "sending");
    // In order: what was done later on a trip waits for what was done before it.
    const held = new Set();
    let due = null;
    for (const item of open) {
      if (held.has(item.trip)) continue;
      if (item.next <= Date.now()) {
        due = item;
        break;
      }
      held.add(item.trip);
    }
    if (!due) {
      if (open.length) again(Math.max(Math.min(...open.map((item) => item.next)) - Date.now(), 200));
      return;
    }
    if (!(await send(due))) return;
  }
}

async function send(item) {
  const blob = item.hasBlob ? await blobOf(item.id) : null;
  const headers = { "Content-Type": item.type, "Idempotency-Key": item.once };
  if (!item.open) headers.Authorization = `Bearer ${await kept("token", "")}`;
  await change(item.id, { state: "sending", progress: 0 });
  let shown = 0;
  const onProgress = (share) => {
    if (share - shown < 0.1) return;
    shown = share;
    change(item.id, { progress: share });
  };
  try {
    const told = await upload(item.path, blob ?? JSON.stringify(item.body), headers, onProgress);
    await settle(item, told);
    return true;
  } catch (error) {
    return putOff(item, error);
  }
}

async function settle(item, told) {
  if (item.keepAs) await keep(item.keepAs, told);
  const base = await db();
  const write = base.transaction(["outbox", "blobs"], "readwrite");
  const answer = { sha256: told?.sha256 ?? null };
  await write.objectStore("outbox").put({ ...item, state: "sent", progress: 1, sent: Date.now(), answer, body: null });
  await write.objectStore("blobs").delete(item.id);
  const old = (await write.objectStore("outbox").getAll()).filter((one) => one.state === "sent");
  old.sort((a, b) => b.order - a.order);
  for (const one of old.slice(KEEP_SENT)) await write.objectStore("outbox").delete(one.id);
  await write.done;
  tell("outbox");
  tell("sent");
}

// Gives whether to go on with the next act.
async function putOff(item, error) {
  if (error instanceof Problem && error.status === 401) {
    await change(item.id, { state: "waiting", next: Date.now() + 5000 });
    await keep("needs-login", true);
    tell("login");
    return false;
  }
  // A phone whose clock runs ahead of the business clock waits until that has come so far.
  const early = error.status === 422 && error.field === "at";
  const passing = error instanceof NoAnswer || error.status >= 500 || error.status === 429 || early;
  if (!passing) {
    const problem = { status: error.status, code: error.code, detail: error.message, field: error.field };
    await change(item.id, { state: "failed", problem });
    return true;
  }
  const tries = item.tries + 1;
  const pause = Math.max((error.wait || 0) * 1000, Math.min(1000 * 2 ** Math.min(tries - 1, 6), 60000));
  await change(item.id, { state: "waiting", tries, next: Date.now() + pause * (0.75 + Math.random() / 2) });
  again(pause);
  return false;
}

// The network is back, or the page is looked at again: what waits goes at once.
async function wake() {
  const base = await db();
  const write = base.transaction("outbox", "readwrite");
  for (const item of await write.store.getAll()) {
    if (item.state === "waiting" && item.next) await write.store.put({ ...item, next: 0 });
  }
  await write.done;
  flush();
}

export function start() {
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) wake();
  });
  flush();
}
