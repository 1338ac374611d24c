// Words of the page in its two languages. KPI names come from the dictionary, through the API.

export const WORDS = {
  en: {
    skip: "Skip to the figures", shop: "Shop", now: "Now", day: "Day", date: "Date", before: "Day before", after: "Day after",
    hours: "By the hour", figure: "Figure", table: "As a table", zones: "Where people spend their time",
    quality: "Data quality", nodes: "Hub and probes", other: "中文", otherLang: "zh",
    simulated: "SIMULATED: made-up people, not this shop's figures", replay: "REPLAY: computed from a recording, not live",
    live: "live", at: (t, ago) => `as of ${t}, ${ago}`, ago: (s) => (s < 90 ? `${s} s ago` : s < 5400 ? `${Math.round(s / 60)} min ago` : `${Math.round(s / 3600)} h ago`),
    stale: "stale", noLive: "The hub has not said anything yet.", interval: (a, b) => `${a} to ${b}`,
    hour: "hour", value: "value", low: "low", high: "high", state: "state", soFar: "so far", final: "final", none: "–",
    zone: "zone", share: "share of time", 
    hoursNote: "Bars are estimates, lines their 90 % intervals. Hatched: still running, or visits not all reported yet.",
    zonesNote: "Share of the time that visitors spent in all zones. Dots are probes.",
    noPlan: "No floor plan: with one or two probes there is presence, no position.", noZones: "Nothing heard in the zones on this day.",
    good: "good", fair: "fair", poor: "poor", probesUp: "probes up", completeness: "messages complete", listened: "listened",
    calibration: "probes against their calibration",
    drift: (rows) => (rows === null ? "not checked yet" : rows.length ? `${rows.length} drifted` : "as calibrated"),
    drifted: (probe, hears, heard) => `${probe}: ` + [["hears", hears], ["is heard", heard]].filter(([, db]) => db !== 0)
      .map(([what, db]) => (db === null ? `${what} no more` : `${what} ${Math.abs(db).toFixed(0)} dB ${db < 0 ? "weaker" : "louder"}`)).join(", "),
    error: "error of footfall", again: "messages that came again", quarantined: "unusable messages", setAside: "kept apart; why: the collector's log", heardShare: "hearing complete", node: "node", since: "since",
    gaps: "Missing messages", messages: "messages", until: "until", why: "why", visits: "visits",
    why_of: { age: "too old for the hub's outbox", size: "the hub's outbox was full", unknown: "not arrived" },
    online: "online", offline: "offline", sleeping: "sleeping", unknown: "never heard of", foot: (z, v) => `Times are those of the shop (${z}). 90 % intervals throughout. Privacy mode ${v}.`,
    noPlace: "No shop yet. Start a hub, or try: footfall demo", gone: "The collector does not answer; the figures below may be old.",
    waiting: "no figures for this day", dayNote: "So far: only visits that have ended and were reported.", away: (names) => `away: ${names}`, missing: (n) => `${n} messages missing`, below: (k) => `<${k}`,
    reasons: {},
  },
  zh: {
    skip: "跳到数据", shop: "门店", now: "实时", day: "当日", date: "日期", before: "前一天", after: "后一天",
    hours: "分时", figure: "指标", table: "以表格显示", zones: "顾客停留分布",
    quality: "数据质量", nodes: "主机与探针", other: "English", otherLang: "en",
    simulated: "模拟数据：虚构的人，不是本店客流", replay: "回放数据：由录制文件计算，非实时",
    live: "实时", at: (t, ago) => `截至 ${t}，${ago}`, ago: (s) => (s < 90 ? `${s} 秒前` : s < 5400 ? `${Math.round(s / 60)} 分钟前` : `${Math.round(s / 3600)} 小时前`),
    stale: "已过时", noLive: "主机尚未上报数据。", interval: (a, b) => `${a} 至 ${b}`,
    hour: "时段", value: "数值", low: "下限", high: "上限", state: "状态", soFar: "进行中", final: "已完成", none: "–",
    zone: "区域", share: "时间占比", 
    hoursNote: "柱为估计值，竖线为 90% 区间。斜纹：时段未结束，或到访尚未全部上报。",
    zonesNote: "顾客在各区域停留时间的占比。圆点为探针。",
    noPlan: "没有平面图：一两个探针只能判断在店与否，不能定位。", noZones: "当日各区域没有数据。",
    good: "良好", fair: "一般", poor: "较差", probesUp: "在线探针", completeness: "消息完整率", listened: "监听时间",
    calibration: "探针与校准的偏差",
    drift: (rows) => (rows === null ? "尚未检查" : rows.length ? `${rows.length} 个探针偏移` : "与校准一致"),
    drifted: (probe, hears, heard) => `${probe}：` + [["接收", hears], ["被接收", heard]].filter(([, db]) => db !== 0)
      .map(([what, db]) => (db === null ? `${what}中断` : `${what}${db < 0 ? "弱" : "强"} ${Math.abs(db).toFixed(0)} dB`)).join("，"),
    error: "客流误差", again: "重复收到的消息", quarantined: "无法使用的消息", setAside: "已另行保存，原因见汇总端日志", heardShare: "接收完整率", node: "节点", since: "自",
    gaps: "缺失的消息", messages: "消息", until: "至", why: "原因", visits: "到访",
    why_of: { age: "超过主机保存期限", size: "主机存储已满", unknown: "尚未到达" },
    online: "在线", offline: "离线", sleeping: "休眠", unknown: "未出现", foot: (z, v) => `时间均为门店当地时间（${z}）。区间均为 90%。隐私模式 ${v}。`,
    noPlace: "还没有门店。请启动主机，或试用：footfall demo", gone: "采集服务没有响应，以下数据可能已过时。",
    waiting: "当日没有数据", dayNote: "进行中：仅含已结束并上报的到访。", away: (names) => `离线：${names}`, missing: (n) => `缺少 ${n} 条消息`, below: (k) => `<${k}`,
    reasons: {
      "nothing heard": "无数据", "no probe listened": "没有探针在监听", "fewer than two stays": "停留不足两次",
      "fewer than 10 stays": "停留不足十次", "nobody was heard": "无人", "nobody entered": "无人进店", "no zone was visited": "没有区域停留",
      "no sales linked, or none delivered for the bucket": "没有销售数据", "no transaction": "没有成交", "nobody was counted": "无人",
      suppressed: "人数过少，不显示",
    },
  },
};

const digits = (x) => (x === 0 || Math.abs(x) >= 10 ? 0 : 1);

// A figure as people read it; `unit` is the dictionary's.
export function show(value, unit, language) {
  if (value === null || value === undefined) return WORDS[language].none;
  const number = (x, d) => x.toLocaleString(language === "zh" ? "zh-CN" : "en-GB", { minimumFractionDigits: d, maximumFractionDigits: d });
  if (unit === "ratio") return `${number(value * 100, digits(value * 100))} %`;
  if (unit === "s") return value < 90 ? `${number(value, 0)} ${language === "zh" ? "秒" : "s"}` : `${number(value / 60, digits(value / 60))} ${language === "zh" ? "分钟" : "min"}`;
  if (unit === "minor units") return number(value / 100, 2);
  return number(value, 0);
}

export function reason(figure, words) {
  if (figure.below) return words.below(figure.below);
  return words.reasons[figure.reason] ?? figure.reason ?? "";
}
