// Where this phone keeps what must outlive a closed page: settings, the sealed key, the outbox, photos.

import { openDB } from "../npm/idb/index.js";

let opened = null;

export function db() {
  opened ??= openDB("yundan", 1, {
    upgrade(made) {
      made.createObjectStore("kv");
      made.createObjectStore("vault");
      made.createObjectStore("outbox", { keyPath: "id" });
      made.createObjectStore("blobs");
    },
    terminated() {
      opened = null;
    },
  });
  return opened;
}

export async function keep(name, value) {
  await (await db()).put("kv", value, name);
}

export async function kept(name, otherwise = null) {
  return (await (await db()).get("kv", name)) ?? otherwise;
}

export async function forget(name) {
  await (await db()).delete("kv", name);
}

// Other tabs hear what has changed here.
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("yundan") : null;
const listeners = new Set();
if (channel) channel.onmessage = (event) => listeners.forEach((listen) => listen(event.data));

export function onChange(listen) {
  listeners.add(listen);
  return () => listeners.delete(listen);
}

export function tell(what) {
  channel?.postMessage(what);
  listeners.forEach((listen) => listen(what));
}
