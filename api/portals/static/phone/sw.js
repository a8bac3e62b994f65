// Keeps the driver's app on the phone. The page is asked of the network first and taken from the phone when that
// does not answer in three seconds; files carry their hash in their address and are taken from the phone.
// What it keeps and under which name (BUILD, FILES) is written above by the server.

const CACHE = `yundan-${BUILD}`;
const PATIENCE_MS = 3000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => cache.addAll(["/driver", ...FILES])).then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  const old = async () => {
    for (const name of await caches.keys()) {
      // The build before stays for a page that is still open on it.
      if (name.startsWith("yundan-") && name !== CACHE && (await self.clients.matchAll()).length === 0) await caches.delete(name);
    }
    await self.clients.claim();
  };
  event.waitUntil(old());
});

async function page(request) {
  const cache = await caches.open(CACHE);
  try {
    const fresh = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (fresh.ok) await cache.put("/driver", fresh.clone());
    return fresh;
  } catch {
    return (await cache.match("/driver")) ?? Response.error();
  }
}

async function file(request) {
  return (await caches.match(request)) ?? fetch(request);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { pathname, origin } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate" && pathname === "/driver") event.respondWith(page(request));
  else if (pathname.startsWith("/static/") || pathname.startsWith("/phone/")) event.respondWith(file(request));
});
