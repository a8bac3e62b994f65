// The way to the server: JSON with the phone's API key, problems as errors that carry the server's words.

import { kept } from "./store.js";

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.field = body.field || "";
    this.facts = body.facts || {};
  }
}

// No answer came: it may or may not have arrived, and is to be sent again under the same Idempotency-Key.
export class NoAnswer extends Error {}

export async function ask(path, { method = "GET", body, once, open = false } = {}) {
  const headers = { "Accept-Language": document.documentElement.lang || "zh" };
  if (!open) headers.Authorization = `Bearer ${await kept("token", "")}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (once) headers["Idempotency-Key"] = once;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(30000),
    });
  } catch {
    throw new NoAnswer();
  }
  let told;
  try {
    told = await answer.json();
  } catch {
    if (answer.ok) throw new NoAnswer();
    told = {};
  }
  if (!answer.ok) throw new Problem(answer.status, told);
  return told;
}

// One upload with its progress; fetch cannot tell it.
export function upload(path, content, headers, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.timeout = 90000;
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onerror = request.ontimeout = request.onabort = () => reject(new NoAnswer());
    request.onload = () => {
      let told = null;
      try {
        told = JSON.parse(request.responseText);
      } catch {
        if (request.status < 400) return reject(new NoAnswer());
      }
      const wait = Number(request.getResponseHeader("Retry-After")) || 0;
      if (request.status >= 200 && request.status < 300) resolve(told);
      else reject(Object.assign(new Problem(request.status, told || {}), { wait }));
    };
    request.send(content);
  });
}
