// The map of a trip on MapLibre: a schematic ground (or tiles by setting), corridor, track by speed, stops, findings.
// Positions come in WGS-84 and are moved here alone, where the tiles are in another datum.

import * as maplibregl from "./npm/maplibre/maplibre-gl.mjs";

const CITIES = [
  ["北京", "Beijing", 116.407, 39.904], ["上海", "Shanghai", 121.474, 31.23], ["广州", "Guangzhou", 113.264, 23.129],
  ["深圳", "Shenzhen", 114.058, 22.543], ["天津", "Tianjin", 117.2, 39.084], ["重庆", "Chongqing", 106.551, 29.563],
  ["成都", "Chengdu", 104.066, 30.573], ["武汉", "Wuhan", 114.305, 30.593], ["西安", "Xi'an", 108.94, 34.341],
  ["南京", "Nanjing", 118.797, 32.06], ["杭州", "Hangzhou", 120.155, 30.274], ["苏州", "Suzhou", 120.585, 31.299],
  ["宁波", "Ningbo", 121.55, 29.875], ["青岛", "Qingdao", 120.383, 36.067], ["济南", "Jinan", 117.12, 36.651],
  ["郑州", "Zhengzhou", 113.625, 34.747], ["长沙", "Changsha", 112.939, 28.228], ["合肥", "Hefei", 117.227, 31.821],
  ["沈阳", "Shenyang", 123.432, 41.806], ["大连", "Dalian", 121.615, 38.914], ["哈尔滨", "Harbin", 126.535, 45.804],
  ["昆明", "Kunming", 102.833, 24.88], ["南宁", "Nanning", 108.367, 22.817], ["福州", "Fuzhou", 119.297, 26.075],
  ["厦门", "Xiamen", 118.089, 24.48], ["南昌", "Nanchang", 115.858, 28.683], ["太原", "Taiyuan", 112.549, 37.871],
  ["石家庄", "Shijiazhuang", 114.515, 38.042], ["兰州", "Lanzhou", 103.834, 36.061], ["乌鲁木齐", "Urumqi", 87.617, 43.825],
];

export const hasWebGL = () => {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
};

const probe = document.createElement("span");
/** A token as a plain colour that the map understands in this light. */
function plain(token) {
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
  probe.remove();
  return `rgb(${r}, ${g}, ${b})`;
}

const line = (coordinates, properties = {}) => ({ type: "Feature", properties, geometry: { type: "LineString", coordinates } });
const area = (ring, properties = {}) => ({ type: "Feature", properties, geometry: { type: "Polygon", coordinates: [ring] } });
const all = (features) => ({ type: "FeatureCollection", features });

function circle([lon, lat], metres) {
  const ring = [];
  for (let step = 0; step <= 64; step++) {
    const angle = (step / 32) * Math.PI;
    ring.push([lon + ((metres * Math.cos(angle)) / 111320) / Math.cos((lat * Math.PI) / 180), lat + (metres * Math.sin(angle)) / 111320]);
  }
  return ring;
}

/** Width in pixels of so many metres at every zoom. */
function metresWide(metres, lat) {
  const atZero = metres / ((40075016.7 * Math.cos((lat * Math.PI) / 180)) / 512);
  return ["interpolate", ["exponential", 2], ["zoom"], 0, atZero, 24, atZero * 2 ** 24];
}

async function moverOf(datum) {
  if (datum !== "gcj02") return (point) => point;
  const { default: gcoord } = await import("./npm/gcoord/gcoord.mjs");
  return (point) => gcoord.transform(point, gcoord.WGS84, gcoord.GCJ02);
}

function sign(className, text) {
  const element = document.createElement("div");
  element.className = className;
  element.textContent = text;
  return element;
}

/** Below and above which speed a stretch is slow and fast: of a motorway, or of a town where nothing is faster. */
export const bandsOf = (track) => (track.totals.top_kmh < 60 ? [10, 30] : [20, 60]);

/** Draws a trip; gives what the player needs: where to put the truck, and how to add what came since. */
export async function drawTrip(element, track, words, durationText) {
  const move = await moverOf(track.base.datum);
  const points = track.lon.map((lon, index) => move([lon, track.lat[index]]));
  const route = (track.plan ? track.plan.route : []).map(move);
  const gates = track.plan ? track.plan.gates.map((gate) => ({ ...gate, at: move([gate.lon, gate.lat]) })) : [];
  const every = [...points, ...route, ...gates.map((gate) => gate.at)];
  const bounds = every.reduce((box, point) => box.extend(point), new maplibregl.LngLatBounds(every[0], every[0]));
  const lat = every[0][1];
  const tiles = track.base.tiles;
  const map = new maplibregl.Map({
    container: element,
    attributionControl: tiles ? { customAttribution: track.base.attribution } : false,
    style: {
      version: 8,
      sources: tiles ? { ground: { type: "raster", tiles: [tiles], tileSize: 256 } } : {},
      layers: [
        { id: "paper", type: "background", paint: { "background-color": plain("--raised") } },
        ...(tiles ? [{ id: "ground", type: "raster", source: "ground" }] : []),
      ],
    },
    bounds,
    fitBoundsOptions: { padding: 50, maxZoom: 16 },
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    locale: {},
    cooperativeGestures: false,
    localIdeographFontFamily: "sans-serif",
  });
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-left");
  await new Promise((done) => map.once("load", done));

  if (!tiles) map.addSource("grid", { type: "geojson", data: grid(bounds) });
  if (!tiles) map.addLayer({ id: "grid", type: "line", source: "grid", paint: { "line-color": plain("--line"), "line-width": 1 } });
  map.addSource("route", { type: "geojson", data: all(route.length ? [line(route)] : []) });
  map.addLayer({ id: "corridor", type: "line", source: "route", layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": plain("--wait"), "line-opacity": 0.16, "line-width": metresWide(track.plan ? 2 * track.plan.corridor_m : 1, lat) } });
  map.addLayer({ id: "route", type: "line", source: "route", paint: { "line-color": plain("--faint"), "line-width": 1.5, "line-dasharray": [3, 2] } });
  map.addSource("gates", { type: "geojson", data: all(gates.map((gate, index) => area(gate.polygon.length ? [...gate.polygon, gate.polygon[0]].map(move) : circle(gate.at, gate.radius_m), { index }))) });
  map.addLayer({ id: "gates", type: "fill", source: "gates", paint: { "fill-color": ["match", ["get", "index"], 0, plain("--good"), plain("--business")], "fill-opacity": 0.14 } });
  map.addLayer({ id: "gate-lines", type: "line", source: "gates", paint: { "line-color": ["match", ["get", "index"], 0, plain("--good"), plain("--business")], "line-width": 1.4 } });
  map.addSource("track", { type: "geojson", data: all([]) });
  map.addLayer({ id: "track", type: "line", source: "track", layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": ["match", ["get", "band"], 0, plain("--bad"), 1, plain("--warn"), plain("--good")], "line-width": 3.6 } });

  const lang = document.documentElement.lang.startsWith("zh") ? 0 : 1;
  for (const city of tiles ? [] : CITIES) {
    if (bounds.contains([city[2], city[3]])) new maplibregl.Marker({ element: sign("place-sign", city[lang]) }).setLngLat([city[2], city[3]]).addTo(map);
  }
  gates.forEach((gate, index) => {
    const name = `${index ? words.unloading : words.loading} · ${track.places[index]}`;
    new maplibregl.Marker({ element: sign("stop-sign gate", name), anchor: "bottom", offset: [0, -6] }).setLngLat(gate.at).addTo(map);
  });
  const signs = [];
  const truck = new maplibregl.Marker({ element: sign("truck-sign", ""), anchor: "center" });
  truck.getElement().innerHTML = document.querySelector(".brand svg").outerHTML;

  const [slow, fast] = bandsOf(track);
  function show(now, at) {
    const count = at === undefined ? now.time.length : at;
    const path = now.lon.slice(0, count).map((lon, index) => move([lon, now.lat[index]]));
    const pieces = [];
    for (let index = 1; index < path.length; index++) {
      const speed = now.speed[index];
      const last = pieces.at(-1);
      const band = speed < slow ? 0 : speed < fast ? 1 : 2;
      if (last && last.band === band) last.path.push(path[index]);
      else pieces.push({ band, path: [path[index - 1], path[index]] });
    }
    map.getSource("track").setData(all(pieces.map((piece) => line(piece.path, { band: piece.band }))));
    for (const marker of signs.splice(0)) marker.remove();
    const until = now.time[count - 1] ?? 0;
    for (const stop of now.stops.filter((one) => one.from <= until)) {
      const text = durationText(Math.min(stop.to, until) - stop.from);
      const marker = sign("stop-sign", `P ${text}`);
      marker.title = words.stopped.replace("{time}", text);
      signs.push(new maplibregl.Marker({ element: marker, anchor: "left", offset: [8, 0] }).setLngLat(move([stop.lon, stop.lat])).addTo(map));
    }
    for (const finding of now.findings.filter((one) => one.at <= until)) {
      const marker = sign(`finding-sign ${finding.severity === "fail" ? "bad" : ""}`, "!");
      marker.title = finding.text;
      signs.push(new maplibregl.Marker({ element: marker }).setPopup(new maplibregl.Popup({ closeButton: false }).setText(finding.text)).setLngLat(move([finding.lon, finding.lat])).addTo(map));
    }
  }

  function putTruck(lon, lat) {
    truck.setLngLat(move([lon, lat])).addTo(map);
  }

  map.on("click", "track", (event) => element.dispatchEvent(new CustomEvent("picked", { detail: event.lngLat })));
  map.on("mouseenter", "track", () => (map.getCanvas().style.cursor = "pointer"));
  map.on("mouseleave", "track", () => (map.getCanvas().style.cursor = ""));
  return { map, show, putTruck };
}

/** A quiet grid of a round number of degrees, so that a schematic ground still has a scale. */
function grid(bounds) {
  const span = Math.max(bounds.getEast() - bounds.getWest(), bounds.getNorth() - bounds.getSouth(), 1e-4);
  const step = 10 ** Math.floor(Math.log10(span / 2));
  const lines = [];
  const [west, east, south, north] = [bounds.getWest() - 3 * span, bounds.getEast() + 3 * span, bounds.getSouth() - 3 * span, bounds.getNorth() + 3 * span];
  for (let x = Math.ceil(west / step) * step; x <= east; x += step) lines.push(line([[x, south], [x, north]]));
  for (let y = Math.ceil(south / step) * step; y <= north; y += step) lines.push(line([[west, y], [east, y]]));
  return all(lines);
}
