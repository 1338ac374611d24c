// Two drawings in SVG: bars with intervals, and zones over the floor plan. Attributes only, no inline style (CSP).

import { show } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 40, RIGHT = 8, TOP = 12, BOTTOM = 26;

export function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A step of 1, 2 or 5 times a power of ten that gives at most five lines.
function step(max) {
  const rough = max / 4, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
}

function ceiling(points) {
  const tops = points.map((p) => p.high ?? p.value ?? 0).sort((a, b) => a - b);
  return Math.max(tops.at(-1) ?? 0, Number.MIN_VALUE);
}

// The hours with figures and what lies between them, at least six.
export function span(points) {
  const known = points.map((p, i) => (p.value === null ? -1 : i)).filter((i) => i >= 0);
  if (!known.length) return [];
  let [first, last] = [known[0], known.at(-1)];
  while (last - first < 5 && (first > 0 || last < points.length - 1)) [first, last] = [Math.max(0, first - 1), Math.min(points.length - 1, last + 1)];
  return points.slice(first, last + 1);
}

export function bars(box, readout, series, words, language, chosen) {
  const points = span(series.points);
  const width = Math.max(box.clientWidth, 280), height = width > 520 ? 330 : 240;
  const name = language === "zh" ? series.name_zh : series.name_en;
  const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, class: "bars" });
  svg.setAttribute("aria-label", `${name}: ${points.map((p) => `${p.local} ${tell(p, series.unit, words, language)}`).join("; ")}`);
  svg.append(hatch());
  const max = ceiling(points), by = step(max), top = Math.ceil(max / by) * by;
  const y = (v) => TOP + (height - TOP - BOTTOM) * (1 - Math.min(v, top) / top);
  for (let v = 0; v <= top + by / 2; v += by) {
    svg.append(element("line", { x1: LEFT, x2: width - RIGHT, y1: y(v), y2: y(v), class: v ? "grid" : "axis" }));
    svg.append(element("text", { x: LEFT - 6, y: y(v) + 4, class: "tick end" }, axisText(v, series.unit, by)));
  }
  const slot = (width - LEFT - RIGHT) / points.length;
  const every = [1, 2, 3, 4, 6].find((n) => n * slot >= 40) ?? 6;
  const groups = points.map((point, i) => bar(point, LEFT + i * slot, slot, y, i % every === 0, height));
  svg.append(...groups);
  const select = (i) => {
    groups.forEach((g, n) => g.classList.toggle("chosen", n === i));
    chosen.start = i === null ? null : points[i].start_s;
    readout.textContent = i === null ? "" : `${points[i].local}  ${tell(points[i], series.unit, words, language)}${points[i].closed ? "" : ` (${words.soFar})`}`;
  };
  groups.forEach((g, i) => g.addEventListener("pointerenter", () => select(i)));
  groups.forEach((g, i) => g.addEventListener("click", () => select(i)));
  svg.addEventListener("keydown", (event) => {
    const at = points.findIndex((p) => p.start_s === chosen.start);
    const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? points.length - 1 : at - 1, Home: 0, End: points.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    select(Math.max(0, Math.min(points.length - 1, next)));
  });
  const focused = box.contains(document.activeElement);
  box.replaceChildren(svg);
  if (focused) svg.focus();
  const kept = points.findIndex((p) => p.start_s === chosen.start);
  select(kept < 0 ? null : kept);
}

export function tell(point, unit, words, language) {
  if (point.value === null) return words.reasons[point.reason] ?? point.reason ?? words.none;
  const interval = point.low === null || point.high === null ? "" : ` (${words.interval(show(point.low, unit, language), show(point.high, unit, language))})`;
  return show(point.value, unit, language) + interval;
}

function axisText(v, unit, by) {
  if (unit === "ratio") return `${Math.round(v * 100)} %`;
  if (unit === "s") return `${Math.round(v / 60)}′`;
  if (unit === "minor units") return `${Math.round(v / 100)}`;
  return by < 1 ? v.toFixed(1) : `${Math.round(v)}`;
}

function bar(point, x, slot, y, labelled, height) {
  const group = element("g", { class: "bar" });
  const wide = Math.min(slot * 0.66, 44), left = x + (slot - wide) / 2, middle = x + slot / 2;
  group.append(element("rect", { x, y: TOP, width: slot, height: height - TOP - BOTTOM, class: "catch" }));
  if (labelled) group.append(element("text", { x: middle, y: height - 8, class: "tick middle" }, point.local));
  if (point.value === null) {
    group.append(element("text", { x: middle, y: y(0) - 5, class: "tick middle" }, "·"));
    return group;
  }
  const high = y(point.value), base = y(0), r = Math.min(3, wide / 2, base - high);
  const d = `M${left} ${base}V${high + r}q0 ${-r} ${r} ${-r}H${left + wide - r}q${r} 0 ${r} ${r}V${base}Z`;
  group.append(element("path", { d, class: "fill" }));
  if (!point.closed) group.append(element("path", { d, fill: "url(#hatch)" }));
  if (point.low !== null && point.high !== null && point.high > point.low) {
    const cap = Math.min(wide / 4, 6), [lo, hi] = [y(point.low), y(point.high)];
    group.append(element("path", { d: `M${middle} ${lo}V${hi}M${middle - cap} ${hi}h${2 * cap}M${middle - cap} ${lo}h${2 * cap}`, class: "whisker" }));
  }
  return group;
}

function hatch() {
  const pattern = element("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(element("rect", { width: 3, height: 6, class: "hatch" }));
  return element("defs", {}, pattern);
}

// ---- the floor plan ----

export function plan(box, place, shares, language) {
  const drawn = place.floors.filter((floor) => place.zones.some((zone) => zone.floor === floor.id));
  box.replaceChildren(...drawn.map((floor) => floorPlan(box, place, floor, shares, language)));
}

function floorPlan(box, place, floor, shares, language) {
  const [x0, y0, x1, y1] = floor.bounds_m;
  const width = Math.min(box.clientWidth || 320, 900), px = width / (x1 - x0), height = (y1 - y0) * px;
  const at = ([x, y]) => [(x - x0) * px, (y1 - y) * px];
  const corners = (polygon) => polygon.map((c) => at(c).map((v) => v.toFixed(1)).join(",")).join(" ");
  const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", class: "plan" });
  svg.setAttribute("aria-label", floor.id);
  svg.append(element("rect", { width, height, class: "outside" }));
  svg.append(element("polygon", { points: corners(floor.interior_m), class: "interior" }));
  const zones = place.zones.filter((zone) => zone.floor === floor.id);
  const most = Math.max(...zones.map((zone) => shares.get(zone.id)?.value ?? 0), 0.0001);
  for (const zone of zones) svg.append(...zoneDrawn(zone, shares.get(zone.id), most, corners(zone.polygon_m), zone.polygon_m.map(at), language));
  svg.append(element("polygon", { points: corners(floor.interior_m), class: "wall" }));
  for (const probe of place.probes.filter((p) => p.floor === floor.id && p.x_m !== null)) {
    const [cx, cy] = at([probe.x_m, probe.y_m]);
    svg.append(element("circle", { cx, cy, r: 4, class: "probe" }, element("title", {}, probe.id)));
  }
  return svg;
}

function zoneDrawn(zone, figure, most, points, corners, language) {
  const share = figure?.value ?? null, xs = corners.map((c) => c[0]), ys = corners.map((c) => c[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const text = figure?.below ? `<${figure.below}` : show(share, "ratio", language);
  const strength = share === null ? 0 : 0.06 + 0.86 * (share / most);
  const shape = element("polygon", { points, class: "zone", "fill-opacity": strength.toFixed(3) }, element("title", {}, `${zone.id}: ${text}`));
  const middle = (left + right) / 2, centre = (top + bottom) / 2;
  const shown = [zone.id, text].filter((line, i) => line.length * 6.6 < right - left && bottom - top > (i ? 15 : 32));
  const ink = strength > 0.7 ? "onfull" : "onempty";
  const lines = shown.map((line, i) => element("text", { x: middle, y: centre + 4 + (i - (shown.length - 1) / 2) * 15, class: `label ${ink}${line === text ? " strong" : ""}` }, line));
  return [shape, ...lines];
}
