// One drive as it happens: a stream of events moves the truck on a schematic map, the list and the money.

const box = document.getElementById("drive");
const ground = document.getElementById("ground");
const byId = (id) => document.getElementById(id);
const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 900, HEIGHT = 520, EDGE = 60;
const track = [];
let place = null, line = null, truck = null, signedAt = null, endedAt = null;

function draw(tag, props) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  ground.append(made);
  return made;
}

// Metres on a plane around the road; north is up.
function ground_(road, corridor, names) {
  const middle = (road[0][1] + road.at(-1)[1]) / 2;
  const east = 111320 * Math.cos((middle * Math.PI) / 180), north = 110574;
  const xs = road.map(([lon]) => lon * east), ys = road.map(([, lat]) => lat * north);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((WIDTH - 2 * EDGE) / (right - left || 1), (HEIGHT - 2 * EDGE) / (high - low || 1));
  const aside = (WIDTH - (right - left) * scale) / 2, above = (HEIGHT - (high - low) * scale) / 2;
  place = ([lon, lat]) => [aside + (lon * east - left) * scale, above + (high - lat * north) * scale];
  const points = road.map((point) => place(point).map((n) => n.toFixed(1)).join(",")).join(" ");
  draw("polyline", { class: "corridor", points, "stroke-width": Math.max(2 * corridor * scale, 14) });
  draw("polyline", { class: "road", points });
  line = draw("polyline", { class: "track", points: "" });
  for (const [at, name] of [[road[0], names[0]], [road.at(-1), names[1]]]) {
    const [x, y] = place(at);
    draw("circle", { class: "gate", cx: x, cy: y, r: 9 });
    const label = draw("text", { x: Math.min(Math.max(x, 100), WIDTH - 100), y: y < 60 ? y + 34 : y - 18, "text-anchor": "middle" });
    label.textContent = name;
  }
  truck = draw("g", {});
  for (const [name, r] of [["ring", 16], ["truck", 10]]) {
    const dot = draw("circle", { class: name, cx: 0, cy: 0, r });
    truck.append(dot);
  }
  truck.setAttribute("visibility", "hidden");
}

function show(told) {
  box.dataset.stage = told.stage;
  if (told.road && !place) ground_(told.road, told.corridor_m, told.places);
  track.push(...told.points);
  byId("fixes").textContent = track.length;
  if (place && track.length) {
    line.setAttribute("points", track.map((point) => place(point).map((n) => n.toFixed(1)).join(",")).join(" "));
    const [x, y] = place(track.at(-1));
    truck.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    truck.setAttribute("visibility", "visible");
  }
  const items = [...byId("stages").children];
  const at = items.findIndex((item) => item.dataset.stage === told.stage);
  if (at >= 0) items.forEach((item, number) => { item.className = number < at || told.stage === "done" ? "done" : number === at ? "now" : ""; });
  byId("receipt").hidden = told.stage !== "receipt";
  byId("code").textContent = told.code;
  if (told.link) {
    byId("sign").href = new URL(told.link).pathname;
    byId("sign").hidden = false;
  }
  for (const { stage, at: when } of told.money) {
    const item = byId("money").querySelector(`[data-money="${stage}"]`);
    if (!item) continue;
    item.className = when ? "done" : "";
    item.querySelector("time").textContent = when ? new Date(when).toLocaleTimeString("en-GB", { timeZone: "Asia/Shanghai" }) : "";
    if (stage === "signed" && when && signedAt === null) signedAt = performance.now();
  }
  byId("money").querySelector("li:not(.done)")?.classList.toggle("now", signedAt !== null);
  if (told.stage === "done" && endedAt === null) endedAt = performance.now();
  byId("landed").hidden = told.stage !== "done";
  const lang = document.documentElement.lang.startsWith("en") ? "CN¥" : "¥";
  byId("paid").textContent = lang + (told.paid_fen / 100).toLocaleString("en-US", { minimumFractionDigits: 2 });
  byId("failed").hidden = told.stage !== "failed";
  byId("why").textContent = told.error;
  byId("held").hidden = told.stage !== "held";
  byId("again").hidden = !["done", "failed", "held"].includes(told.stage);
  if (told.trip) {
    byId("trip-link").hidden = false;
    byId("trip-link").firstElementChild.href = `/trips/${told.trip}`;
  }
}

function tick() {
  if (signedAt === null) return;
  const taken = ((endedAt ?? performance.now()) - signedAt) / 1000;
  const seconds = endedAt === null ? Math.floor(taken) : Math.max(1, Math.ceil(taken)); // money is never there in no time
  const two = (n) => String(n).padStart(2, "0");
  byId("clock").textContent = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

setInterval(tick, 250);
const source = new EventSource(`/demo/drives/${box.dataset.name}/events`);
source.onmessage = (event) => {
  const told = JSON.parse(event.data);
  // A stream that was cut off begins anew with every position.
  if (told.road) track.length = 0;
  show(told);
};
source.addEventListener("end", () => source.close());
