// The page: asks the API, puts figures in place, asks again. Every figure carries its raw value in data-value.

import { bars, plan } from "./charts.js";
import { WORDS, reason, show } from "./words.js";

const REFRESH_MS = 5000;
const LIVE = ["occupancy", "arrivals_last_hour", "present_last_hour", "footfall_today", "dwell_mean_today"];
const DAY = ["footfall", "visitors", "passersby", "capture_rate", "dwell_median", "bounce_rate", "deep_visit_rate", "transactions", "conversion_rate", "atv"];
const SALES = ["transactions", "conversion_rate", "atv", "revenue"];
const HOURS = ["footfall", "visitors", "passersby", "capture_rate", "occupancy", "dwell_median", "transactions", "conversion_rate", "revenue"];
const STALE_S = 180;

const $ = (id) => document.getElementById(id);
const state = { place: "", day: "", lang: "", figure: "footfall", ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
state.lang = WORDS[state.lang] ? state.lang : navigator.language.startsWith("zh") ? "zh" : "en";
const chosen = { start: null };
let last = null, busy = false;

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function ask(path) {
  const answer = await fetch(`api/v1/${path}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer.json();
}

const key = (place) => `${place.tenant}/${place.site}/${place.provenance}`;

async function load() {
  const places = await ask("places");
  const rank = { live: 0, replay: 1, simulated: 2 };
  places.sort((a, b) => rank[a.provenance] - rank[b.provenance]);
  const place = places.find((one) => key(one) === state.place) ?? places[0];
  if (!place) return { places };
  const root = `places/${key(place)}`, day = state.day || place.today;
  const [live, days, series, zones, quality] = await Promise.all([
    ask(`${root}/live`), ask(`${root}/kpis?grain=day&from=${day}&to=${day}`),
    ask(`${root}/series?kpi=${state.figure}&from=${day}&to=${day}`), ask(`${root}/zones?day=${day}`), ask(`${root}/quality?day=${day}`),
  ]);
  return { places, place, day, live, bucket: days.buckets[0], series, zones, quality };
}

async function refresh() {
  if (busy) return;
  busy = true;
  try {
    last = await load();
    $("problem").hidden = true;
    draw();
  } catch (error) {
    $("problem").textContent = `${WORDS[state.lang].gone} ${error.message ?? ""}`;
    $("problem").hidden = false;
  }
  busy = false;
  document.body.dataset.ready = last?.place ? "yes" : "empty";
}

function draw() {
  const words = WORDS[state.lang];
  document.documentElement.lang = state.lang === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = words[node.dataset.word];
  for (const node of document.querySelectorAll("[data-word-label]")) node.setAttribute("aria-label", words[node.dataset.wordLabel]);
  $("language").textContent = words.other;
  $("language").lang = words.otherLang;
  if (!last.place) {
    $("sub").textContent = words.noPlace;
    $("main").hidden = true;
    return;
  }
  $("main").hidden = false;
  drawHead(words);
  drawLive(words);
  drawDay(words);
  drawHours(words);
  drawZones(words);
  drawQuality(words);
}

function drawHead(words) {
  const { place, places } = last;
  document.title = `${place.name} · Footfall`;
  $("name").textContent = place.name;
  const local = new Date(place.now_s * 1000).toLocaleString(state.lang === "zh" ? "zh-CN" : "en-GB", { timeZone: place.time_zone, dateStyle: "full", timeStyle: "short" });
  $("sub").textContent = local;
  const mark = place.provenance === "live" ? "" : words[place.provenance];
  $("banner").textContent = mark;
  $("banner").hidden = !mark;
  $("banner").dataset.provenance = place.provenance;
  $("place-label").hidden = places.length < 2;
  const options = places.map((one) => make("option", { value: key(one) }, `${one.name} · ${words[one.provenance].split(/[:：]/)[0]}`));
  fill($("place"), options, key(place));
  $("foot").textContent = words.foot(place.time_zone, place.privacy_mode);
}

// Replace options only when they differ: an open list must not close under the finger.
function fill(select, options, value) {
  const text = (nodes) => [...nodes].map((one) => `${one.value}|${one.textContent}`).join("\n");
  if (text(select.options) !== text(options)) select.replaceChildren(...options);
  select.value = value;
}

function card(figure, devices, words) {
  const name = state.lang === "zh" ? figure.name_zh : figure.name_en;
  const value = make("dd", { class: "value", "data-kpi": figure.id, "data-value": figure.value, "data-low": figure.low, "data-high": figure.high }, show(figure.value, figure.unit, state.lang));
  const lines = [make("dt", {}, name), value];
  if (figure.value === null) lines.push(make("dd", { class: "note" }, reason(figure, words)));
  else if (figure.low !== null && figure.low !== figure.high) lines.push(make("dd", { class: "note" }, words.interval(show(figure.low, figure.unit, state.lang), show(figure.high, figure.unit, state.lang))));
  if (devices?.value != null) lines.push(make("dd", { class: "note", "data-kpi": devices.id, "data-value": devices.value }, `${show(devices.value, "devices", state.lang)} ${state.lang === "zh" ? "台设备" : "devices"}`));
  return make("div", { class: "card" }, ...lines);
}

function cards(figures, ids, words) {
  const whole = new Map(figures.filter((f) => f.zone === null && f.hour === null).map((f) => [f.id, f]));
  return ids.filter((id) => whole.has(id) && !(SALES.includes(id) && whole.get(id).value === null)).map((id) => card(whole.get(id), whole.get(`${id}_devices`), words));
}

function drawLive(words) {
  const { live } = last;
  const stale = live.age_s !== null && live.age_s > STALE_S;
  $("live-at").textContent = live.at_local === null ? words.noLive : words.at(live.at_local.slice(11, 16), words.ago(live.age_s)) + (stale ? ` · ⚠ ${words.stale}` : "");
  $("live").replaceChildren(...cards(live.figures, LIVE, words));
}

function drawDay(words) {
  const { bucket, day, place } = last;
  $("date").value = day;
  $("date").max = place.today;
  $("after").disabled = day >= place.today;
  $("day-note").textContent = bucket && !bucket.closed ? words.dayNote : "";
  $("day").replaceChildren(...(bucket ? cards(bucket.figures, DAY, words) : [make("div", { class: "card" }, make("dd", { class: "note" }, words.waiting))]));
}

function drawHours(words) {
  const { series, bucket } = last;
  const names = new Map((bucket?.figures ?? []).map((f) => [f.id, state.lang === "zh" ? f.name_zh : f.name_en]));
  fill($("figure"), HOURS.filter((id) => names.has(id) || id === state.figure).map((id) => make("option", { value: id }, names.get(id) ?? (state.lang === "zh" ? series.name_zh : series.name_en))), state.figure);
  $("hours-note").textContent = words.hoursNote;
  const known = series.points.some((point) => point.value !== null);
  if (!known) $("hours").replaceChildren(make("p", { class: "note" }, words.waiting));
  else bars($("hours"), readout(), series, words, state.lang, chosen);
  const rows = series.points.filter((p) => p.value !== null || p.reason !== "nothing heard").map((p) => [
    p.local, cell(series.kpi, p, p.value, series.unit), show(p.low, series.unit, state.lang), show(p.high, series.unit, state.lang),
    p.value === null ? (words.reasons[p.reason] ?? p.reason) : p.closed ? words.final : words.soFar,
  ]);
  $("hours-table").replaceChildren(table([words.hour, words.value, words.low, words.high, words.state], rows));
}

function readout() {
  let line = $("readout");
  if (!line) {
    line = make("p", { id: "readout", class: "readout", "aria-live": "polite" });
    $("hours").before(line);
  }
  return line;
}

function cell(id, of, value, unit) {
  return make("span", { "data-kpi": id, "data-of": of.local ?? of.zone, "data-value": value }, show(value, unit, state.lang));
}

function drawZones(words) {
  const { zones, place } = last;
  const shares = new Map(zones.figures.filter((f) => f.id === "zone_share").map((f) => [f.zone, f]));
  const heard = [...shares.values()].some((f) => f.value !== null || f.below);
  $("zones-note").textContent = !place.floors.length ? words.noPlan : heard ? words.zonesNote : words.noZones;
  plan($("plan"), place, shares, state.lang);
  const text = (f, unit) => (f?.below ? words.below(f.below) : cell(f?.id ?? "", { zone: f?.zone }, f?.value ?? null, unit));
  const order = [...place.zones].sort((a, b) => (shares.get(b.id)?.value ?? -1) - (shares.get(a.id)?.value ?? -1));
  const rows = order.map((zone) => [
    zone.id, text(shares.get(zone.id), "ratio"), interval(shares.get(zone.id), "ratio", words),
  ]);
  $("zones-table").replaceChildren(table([words.zone, words.share, "90 %"], rows));
}

function interval(figure, unit, words) {
  return figure?.value == null ? words.none : words.interval(show(figure.low, unit, state.lang), show(figure.high, unit, state.lang));
}

function drawQuality(words) {
  const { quality } = last, covered = quality.coverage;
  const whole = quality.completeness ?? 1, up = covered ? covered.probes_up / Math.max(covered.probes_expected, 1) : 0;
  const away = last.day === last.place.today ? quality.nodes.filter((n) => n.state === "offline").map((n) => n.node) : [];
  const level = up >= 1 && whole >= 0.99 && !away.length ? "good" : up >= 0.5 && whole >= 0.9 ? "fair" : "poor";
  $("badge").textContent = `${{ good: "✓", fair: "!", poor: "✕" }[level]} ${words[level]}`;
  $("badge").dataset.level = level;
  const drifted = (quality.calibration_drift ?? []).map((d) => words.drifted(d.probe, d.hears_db, d.is_heard_db));
  const missing = quality.messages_known - quality.messages_stored;
  const items = [
    ["probes", words.probesUp, covered ? `${covered.probes_up} / ${covered.probes_expected}` : words.none, away.length ? words.away(away.join(", ")) : ""],
    ["completeness", words.completeness, show(quality.completeness, "ratio", state.lang), missing ? words.missing(missing) : ""],
    ["listened", words.listened, show(covered?.listened_share ?? null, "ratio", state.lang), ""],
    ["error", words.error, quality.error_share === null ? words.none : `± ${show(quality.error_share, "ratio", state.lang)}`, ""],
    ["calibration", words.calibration, words.drift(quality.calibration_drift), drifted.join("; ")],
    ["again", words.again, String(quality.messages_again), ""],
    ["quarantined", words.quarantined, String(quality.quarantined), quality.quarantined ? words.setAside : ""],
  ];
  $("quality").replaceChildren(...items.map(([id, name, text, note]) => make("div", { class: "card" }, make("dt", {}, name), make("dd", { class: "value", "data-quality": id }, text), make("dd", { class: "note" }, note))));
  const time = (s) => (s ? new Date(s * 1000).toLocaleString(state.lang === "zh" ? "zh-CN" : "en-GB", { timeZone: last.place.time_zone, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }) : words.none);
  $("gaps").hidden = !quality.gaps.length;
  $("gaps-table").replaceChildren(table([words.messages, words.since, words.until, words.why, words.visits], quality.gaps.map((g) => [
    g.first === g.last ? `${g.first}` : `${g.first}–${g.last}`, time(g.since_s), time(g.before_s), words.why_of[g.reason] ?? words.why_of.unknown, g.visits ?? words.none])));
  $("nodes-table").replaceChildren(table([words.node, words.state, words.since], quality.nodes.map((n) => [n.node, words[n.state] ?? n.state, time(n.since_s)])));
}

function table(head, rows) {
  return make("table", {}, make("thead", {}, make("tr", {}, ...head.map((h) => make("th", { scope: "col" }, h)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((c, i) => (i ? make("td", {}, c) : make("th", { scope: "row" }, c)))))));
}

function go(change) {
  Object.assign(state, change);
  const kept = Object.entries(state).filter(([name, value]) => value && !(name === "figure" && value === "footfall"));
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  refresh();
}

function shift(days) {
  const day = new Date(`${last.day}T12:00:00Z`);
  day.setUTCDate(day.getUTCDate() + days);
  const text = day.toISOString().slice(0, 10);
  go({ day: text >= last.place.today ? "" : text });
}

$("language").addEventListener("click", () => { state.lang = state.lang === "zh" ? "en" : "zh"; draw(); go({}); });
$("place").addEventListener("change", () => go({ place: $("place").value, day: "" }));
$("figure").addEventListener("change", () => go({ figure: $("figure").value }));
$("date").addEventListener("change", () => go({ day: $("date").value >= last.place.today ? "" : $("date").value }));
$("before").addEventListener("click", () => shift(-1));
$("after").addEventListener("click", () => shift(1));
let wide = 0;
new ResizeObserver(() => { if (last?.place && document.body.clientWidth !== wide) { wide = document.body.clientWidth; draw(); } }).observe(document.body);
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
