// How a desk page talks to /v1: with the session's cookie, its form token and an Idempotency-Key of its own.
// An expired session loses nothing: the page says so, the person signs in beside it, and the same act goes again.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || String(status));
    Object.assign(this, { status, code: body.code, field: body.field, body });
  }
}

const meta = document.querySelector('meta[name="csrf"]');
let csrf = meta ? meta.content : "";
export const token = () => csrf;

async function freshToken() {
  const page = await (await fetch(location.href, { headers: { accept: "text/html" } })).text();
  const found = new DOMParser().parseFromString(page, "text/html").querySelector('meta[name="csrf"]');
  csrf = found ? found.content : "";
}

export async function ask(path, { method = "GET", body, once, type = "application/json" } = {}) {
  const key = once || newKey(); // one act, one key, however often it is sent
  const send = () =>
    fetch(path, {
      method,
      headers: {
        accept: "application/json",
        "accept-language": document.documentElement.lang || "zh", // the page's, whatever the browser likes
        ...(method === "GET" ? {} : { "x-csrf-token": csrf, "content-type": type, "idempotency-key": key }),
      },
      body: body === undefined ? undefined : type === "application/json" ? JSON.stringify(body) : body,
    });
  let answer = await send();
  if (answer.status === 403 && method !== "GET") {
    const told = await answer.clone().json().catch(() => ({}));
    if (told.code === "csrf_refused") {
      await freshToken(); // signed in again in another tab: the token is another one
      answer = await send();
    }
  }
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, read);
  return read;
}

/** Shows what went wrong where the person looks; an ended session gets a way in that keeps this page. */
export function tell(place, error, words) {
  place.hidden = false;
  place.replaceChildren();
  place.className = "notice bad mt-3";
  const text = document.createElement("div");
  text.textContent = error.status === 401 ? words.session : `${error.field ? `${error.field}: ` : ""}${error.message}`;
  if (error.status === 401) {
    const link = document.createElement("a");
    link.href = "/door?next=/door/sessions";
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = ` ${words.door}`;
    text.append(link);
  }
  place.append(text);
  place.scrollIntoView({ block: "nearest" });
}

export const newKey = () => crypto.randomUUID();
