// How the phone's pages are made: elements without HTML text, words in both languages, money and time.

let lang = document.documentElement.lang.startsWith("en") ? "en" : "zh";
let words = {};
const icons = document.querySelector("meta[name=icons]").content;

export async function loadWords() {
  const address = document.querySelector("meta[name=words]").content;
  words = await (await fetch(address)).json();
}

export function language(next) {
  if (next) {
    lang = next;
    document.documentElement.lang = lang === "en" ? "en" : "zh-CN";
    document.cookie = `yundan_lang=${lang};path=/;max-age=31536000;samesite=lax`;
  }
  return lang;
}

export function t(key, facts = {}) {
  const text = words[lang]?.[key];
  if (text === undefined) throw new Error(`no word ${key}`);
  return text.replace(/{(\w+)}/g, (_, name) => facts[name]);
}

export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  made.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `${icons}#${name}`);
  made.append(use);
  return made;
}

export function chip(tone, text, sign = tone) {
  return h("span", { class: `chip ${tone}` }, icon(sign), text);
}

export function notice(tone, text) {
  return h("div", { class: `notice ${tone}`, role: tone === "bad" ? "alert" : "status" }, icon(tone), h("div", {}, text));
}

// A button that does its work once: it is off until the work has ended.
export function button(text, work, { kind = "main", sign = null, off = false } = {}) {
  return h(
    "button",
    {
      class: kind,
      type: "button",
      disabled: off,
      async onclick(event) {
        const made = event.currentTarget;
        if (made.disabled) return;
        made.disabled = true;
        try {
          await work();
        } finally {
          made.disabled = false; // it could be pressed, so it can be again
        }
      },
    },
    sign ? icon(sign) : null,
    h("span", {}, text),
  );
}

export function money(fen) {
  const yuan = (Math.abs(fen) / 100).toLocaleString("en-US", { minimumFractionDigits: 2 });
  return `${fen < 0 ? "−" : ""}${lang === "en" ? "CN¥" : "¥"}${yuan}`;
}

export function quantity(milli, unit) {
  return `${(milli / 1000).toLocaleString("en-US", { maximumFractionDigits: 3 })} ${unit}`;
}

const ZONE = "Asia/Shanghai";

export function when(at) {
  if (!at) return "–";
  const form = { timeZone: ZONE, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en-GB", form).formatToParts(new Date(at)).map((p) => [p.type, p.value]));
  return `${parts.month}-${parts.day} ${parts.hour}:${parts.minute}`;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export function local(shown, name) {
  return shown[`${name}_${lang}`];
}

export function short(hash) {
  return `${hash.slice(0, 8)}…${hash.slice(-4)}`;
}

// A sheet from below; gives what `close` was called with, or null when it was put away.
export function sheet(title, fill) {
  return new Promise((resolve) => {
    const made = h("dialog", { class: "sheet", "aria-label": title });
    let result = null;
    const close = (value = null) => {
      result = value;
      made.close();
    };
    made.addEventListener("close", () => {
      made.remove();
      resolve(result);
    });
    made.append(
      h("div", { class: "sheet-head" }, h("h2", {}, title), h("button", { class: "plain", type: "button", onclick: () => close(), "aria-label": t("ph_close") }, icon("bad"))),
      ...[fill(close)].flat(9).filter((part) => part instanceof Node),
    );
    document.body.append(made);
    made.showModal();
  });
}
