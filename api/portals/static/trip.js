// A trip's page: the live map or, without WebGL, its picture; replay at 1 to 20 times with the speed chart beside it.

const box = document.querySelector("[data-map]");
const zone = { timeZone: "Asia/Shanghai", hourCycle: "h23" };
const clockText = (seconds) =>
  new Intl.DateTimeFormat("sv-SE", { ...zone, dateStyle: "short", timeStyle: "medium" }).format(new Date(seconds * 1000));
const zh = document.documentElement.lang.startsWith("zh");
const durationText = (seconds) => {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return zh ? `${seconds} 秒` : `${seconds} s`;
  if (minutes < 60) return zh ? `${minutes} 分` : `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return zh ? `${hours} 小时 ${rest} 分` : `${hours} h ${rest} min`;
};

function picture(words, reason) {
  const live = box.querySelector(".map-live");
  live.hidden = true;
  const note = document.createElement("p");
  note.className = "small soft px-3 pt-2";
  note.textContent = reason;
  box.append(note);
  if (box.dataset.judged === "1") {
    const image = new Image(960, 820);
    image.className = "map";
    image.alt = live.getAttribute("aria-label");
    image.src = box.dataset.fallback;
    box.append(image);
  }
}

function legend(words, track, [slow, fast]) {
  const note = document.createElement("div");
  note.className = "map-note";
  note.textContent = track.base.tiles ? "WGS-84" : words.schematic;
  box.append(note);
  const list = document.createElement("div");
  list.className = "map-legend";
  for (const [token, text] of [["--bad", `< ${slow} km/h`], ["--warn", `${slow}–${fast} km/h`], ["--good", `> ${fast} km/h`], ["--wait", words.corridor]]) {
    const row = document.createElement("span");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "swatch");
    svg.setAttribute("viewBox", "0 0 10 10");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of [["width", 10], ["height", 10], ["rx", 3], ["fill", `var(${token})`]]) rect.setAttribute(name, value);
    svg.append(rect);
    row.append(svg, text);
    list.append(row);
  }
  box.append(list);
}

function totals(words, track) {
  const list = document.querySelector("[data-totals]");
  const sums = track.totals;
  const shown = [
    [words.distance, `${(sums.distance_m / 1000).toFixed(1)} km`], [words.moving, durationText(sums.moving_s)],
    [words.parked, durationText(sums.parked_s)], [words.top, `${sums.top_kmh} km/h`], [words.mean, `${sums.mean_kmh} km/h`],
    [words.until, track.time.length ? clockText(track.time.at(-1)) : "–"],
  ];
  list.replaceChildren(
    ...shown.map(([name, value]) => {
      const row = document.createElement("div");
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      text.className = value.length > 12 ? "num small" : "num";
      row.append(term, text);
      return row;
    }),
  );
}

async function speedChart(words, track, onMove) {
  const { default: UPlot } = await import("./npm/uplot/uPlot.esm.js");
  const place = document.querySelector("[data-chart]");
  place.hidden = false;
  const style = getComputedStyle(document.body);
  const axis = { stroke: style.color, grid: { stroke: "rgb(128 128 128 / 20%)", width: 1 }, ticks: { show: false }, font: `11px ${style.fontFamily}` };
  const chart = new UPlot(
    {
      width: place.clientWidth - 16,
      height: 132,
      tzDate: (seconds) => new Date(new Date(seconds * 1000).toLocaleString("en-US", { timeZone: "Asia/Shanghai" })),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_, __, top) => [0, Math.max(30, top * 1.1)] } },
      axes: [{ ...axis, values: (self, ticks) => ticks.map((tick) => clockText(tick).slice(11, 16)) }, { ...axis, size: 44, space: 22 }],
      series: [{}, { stroke: "#1f8a70", width: 1.6, fill: "rgb(31 138 112 / 12%)", points: { show: false } }],
      hooks: { setCursor: [(self) => self.cursor.event && self.cursor.idx != null && onMove(self.data[0][self.cursor.idx])] },
    },
    [track.time, track.speed],
    place,
  );
  const name = document.createElement("div");
  name.className = "small soft px-3";
  name.textContent = track.speed_derived ? `${words.speed} · ${words.derived}` : words.speed;
  place.prepend(name);
  addEventListener("resize", () => chart.setSize({ width: place.clientWidth - 16, height: 132 }));
  return chart;
}

async function start() {
  const words = JSON.parse(box.dataset.words);
  let track = await (await fetch(box.dataset.track)).json();
  if (!track.time.length && !track.plan) return picture(words, words.none);
  totals(words, track);
  const { bandsOf, hasWebGL, drawTrip } = await import("./map.js");
  if (!hasWebGL()) return picture(words, words.no_webgl);
  let drawn;
  try {
    drawn = await drawTrip(box.querySelector(".map-live"), track, words, durationText);
  } catch {
    return picture(words, words.no_webgl);
  }
  legend(words, track, bandsOf(track));
  box.dataset.ready = "1";
  drawn.show(track);
  if (!track.time.length) box.querySelector(".map-note").textContent += ` · ${words.none}`;

  const player = document.querySelector(".player");
  const [button, rate, slider, clock] = ["[data-play]", "[data-rate]", "[data-at]", "[data-clock]"].map((name) => player.querySelector(name));
  let now = track.time.at(-1) ?? 0;
  let chart;
  let playing = 0;

  function place(seconds, { quiet = false } = {}) {
    const { time, lon, lat } = track;
    if (!time.length) return;
    now = Math.min(Math.max(seconds, time[0]), time.at(-1));
    let high = time.findIndex((one) => one >= now);
    if (high < 0) high = time.length - 1;
    const low = Math.max(0, high - 1);
    const share = time[high] > time[low] ? (now - time[low]) / (time[high] - time[low]) : 1;
    drawn.putTruck(lon[low] + (lon[high] - lon[low]) * share, lat[low] + (lat[high] - lat[low]) * share);
    slider.value = String(Math.round(((now - time[0]) / Math.max(1, time.at(-1) - time[0])) * 1000));
    clock.textContent = `${clockText(now)} · ${Math.round(track.speed[high])} km/h`;
    if (chart && !quiet) chart.setCursor({ left: chart.valToPos(now, "x"), top: 20 });
  }

  if (track.time.length > 1) {
    player.hidden = false;
    chart = await speedChart(words, track, (seconds) => place(seconds, { quiet: true }));
    place(now);
    let shown = -1;
    const step = (from) => {
      let last = from;
      const frame = (at) => {
        if (!playing) return;
        const next = now + ((at - last) / 1000) * Number(rate.value);
        last = at;
        place(next);
        const count = track.time.findIndex((one) => one > now);
        if (count !== shown) drawn.show(track, count < 0 ? track.time.length : count);
        shown = count;
        if (now >= track.time.at(-1)) return stop();
        playing = requestAnimationFrame(frame);
      };
      playing = requestAnimationFrame(frame);
    };
    const stop = () => {
      cancelAnimationFrame(playing);
      playing = 0;
      button.querySelector("span").textContent = words.play;
      drawn.show(track);
    };
    button.addEventListener("click", () => {
      if (playing) return stop();
      if (now >= track.time.at(-1)) now = track.time[0];
      button.querySelector("span").textContent = words.pause;
      step(performance.now());
    });
    slider.addEventListener("input", () => place(track.time[0] + (Number(slider.value) / 1000) * (track.time.at(-1) - track.time[0])));
    box.querySelector(".map-live").addEventListener("picked", (event) => {
      const { lng, lat } = event.detail;
      let best = 0;
      let least = Infinity;
      track.lon.forEach((lon, index) => {
        const away = (lon - lng) ** 2 + (track.lat[index] - lat) ** 2;
        if (away < least) [least, best] = [away, index];
      });
      place(track.time[best]);
    });
  }

  // While it drives, what came since is drawn as it comes; the page's other half asks for itself.
  const follow = async () => {
    if (!track.live || document.hidden) return;
    const answer = await fetch(box.dataset.track).catch(() => null);
    if (!answer || !answer.ok) return;
    const fresh = await answer.json();
    if (fresh.time.length !== track.time.length || fresh.live !== track.live) {
      track = fresh;
      drawn.show(track);
      totals(words, track);
      if (track.time.length) drawn.putTruck(track.lon.at(-1), track.lat.at(-1));
      if (chart) chart.setData([track.time, track.speed]);
    }
  };
  if (track.live) setInterval(follow, 2000);
}

if (box) start();

document.addEventListener("change", (event) => {
  const lane = event.target.dataset?.lane;
  if (lane) event.target.closest("[data-lanes]").classList.toggle(`hide-${lane}`, !event.target.checked);
});
