// The lender's charts (ECharts, loaded here alone): concentration, what falls due, vintages. Each has its table beside it.

import * as echarts from "./npm/echarts/echarts.min.mjs";

const box = document.querySelector("[data-charts]");
const data = JSON.parse(box.dataset.charts);
const sign = box.dataset.lang === "zh" ? "¥" : "CN¥";
const probe = document.createElement("span");
document.body.append(probe);
const token = (name) => {
  probe.style.color = `var(${name})`;
  const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
  return `rgb(${r},${g},${b})`;
};
const yuan = (fen) => sign + (fen / 100).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = (fen) => {
  const value = fen / 100;
  if (box.dataset.lang === "zh") return value >= 1e4 ? `${(value / 1e4).toFixed(value >= 1e5 ? 0 : 1)}万` : value.toFixed(0);
  const cut = (number) => number.toFixed(1).replace(/\.0$/, "");
  return value >= 1e6 ? `${cut(value / 1e6)}m` : value >= 1e3 ? `${cut(value / 1e3)}k` : value.toFixed(0);
};

function options(kind) {
  const [ink, soft, line, brand] = ["--ink", "--soft", "--line", "--brand"].map(token);
  const family = getComputedStyle(document.body).fontFamily;
  const base = {
    animationDuration: 300,
    textStyle: { fontFamily: family, color: ink },
    tooltip: { trigger: "axis", renderMode: "richText", confine: true },
    grid: { left: 8, right: 12, top: 16, bottom: 4, containLabel: true },
    aria: { enabled: true },
  };
  const axis = { axisLine: { lineStyle: { color: line } }, axisLabel: { color: soft }, axisTick: { show: false }, splitLine: { lineStyle: { color: line } } };
  if (kind === "debtors") {
    const shades = ["#0b6b57", "#1f5fa8", "#7d4b00", "#6a4ea3", "#3d6b8c", "#5b6763"];
    return {
      ...base,
      tooltip: { renderMode: "richText", formatter: (one) => `${one.name}\n${yuan(one.value)}` },
      series: [{
        type: "treemap", roam: false, nodeClick: false, breadcrumb: { show: false }, left: 0, right: 0, top: 0, bottom: 0,
        label: { formatter: (one) => `${one.name}\n${yuan(one.value)}`, color: "#fff", fontSize: 13, lineHeight: 19 },
        itemStyle: { borderColor: token("--paper"), borderWidth: 2, gapWidth: 2 },
        data: data.debtors.map((one, place) => ({ ...one, itemStyle: { color: shades[place % shades.length] } })),
      }],
    };
  }
  if (kind === "calendar") {
    return {
      ...base,
      tooltip: { ...base.tooltip, valueFormatter: yuan },
      xAxis: { type: "category", data: data.calendar.map(([day]) => day.slice(5)), ...axis },
      yAxis: { type: "value", ...axis, axisLabel: { color: soft, formatter: short } },
      series: [{ type: "bar", data: data.calendar.map(([, fen]) => fen), itemStyle: { color: token("--wait"), borderRadius: [4, 4, 0, 0] }, barMaxWidth: 26 }],
    };
  }
  return {
    ...base,
    tooltip: { ...base.tooltip, valueFormatter: undefined },
    xAxis: { type: "category", data: data.vintages.map(([month]) => month), ...axis },
    yAxis: [{ type: "value", ...axis, axisLabel: { color: soft, formatter: short } }, { type: "value", min: 0, max: (one) => Math.max(5, Math.ceil(one.max)), ...axis, splitLine: { show: false }, axisLabel: { color: soft, formatter: (value) => `${value}%` } }],
    series: [
      { type: "bar", data: data.vintages.map(([, , fen]) => fen), itemStyle: { color: brand, opacity: 0.75, borderRadius: [4, 4, 0, 0] }, barMaxWidth: 40, tooltip: { valueFormatter: yuan } },
      { type: "line", yAxisIndex: 1, data: data.vintages.map(([, bps]) => bps / 100), itemStyle: { color: token("--bad") }, symbolSize: 8, tooltip: { valueFormatter: (value) => `${value}%` } },
    ],
  };
}

for (const place of document.querySelectorAll("[data-chart]")) {
  const kind = place.dataset.chart;
  const chart = echarts.init(place, null, { renderer: "svg" });
  const draw = () => chart.setOption(options(kind), true);
  draw();
  if (kind === "debtors") chart.on("click", (one) => one.data?.href && location.assign(one.data.href));
  if (kind === "calendar") chart.on("click", (one) => location.assign(`/lender/loans?due=${data.calendar[one.dataIndex][0]}`));
  if (kind === "vintages") chart.on("click", (one) => location.assign(`/lender/loans?month=${data.vintages[one.dataIndex][0]}`));
  new ResizeObserver(() => chart.resize()).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
