"use strict";
// How the probes of this shop do, every two seconds, from the hub alone. Reads; changes nothing.

const WORDS = {
  en: {
    pass: "PASS", wait: "WAIT", fail: "FAIL", never: "never", ago: (text) => `${text} ago`,
    sum: (pass, all) => `${pass} of ${all} probes pass`, lost: "The hub does not answer. Are you in the shop's network?",
    heard: "last batch", wifi: "Wi-Fi frames/s", ble: "BLE frames/s", rssi: "level", channels: "channels", drops: "lost",
    none: "none", build: "build", uplink: "uplink", heap: "free memory", legend:
      "LED: on with a wink: pass. Long, short, short: fail. 2 blinks: no network. 3: no hub. 4: no key. 5: nothing heard.",
    steps: {
      connected: "Not connected. Count its LED's blinks: 2 means no network (cable, Wi-Fi), 3 no hub.",
      alone: "Two boards say they are this probe. Take one away.",
      key: "Connected, no key yet. Wait a minute, then look at the hub's log.",
      config: "Does not show its configuration yet. Wait a minute, or restart it.",
      delivers: "Nothing arrives from it. Is its network slow or blocked? Restart it.",
      wifi: "No Wi-Fi heard. Hold a phone with Wi-Fi next to it; check antenna and channels.",
    },
  },
  zh: {
    pass: "通过", wait: "等待", fail: "未通过", never: "从未", ago: (text) => `${text}前`,
    sum: (pass, all) => `${all} 个探针中 ${pass} 个通过`, lost: "主机没有应答。您连接的是店内网络吗？",
    heard: "最近一批数据", wifi: "Wi-Fi 帧/秒", ble: "蓝牙帧/秒", rssi: "信号强度", channels: "信道", drops: "丢失",
    none: "无", build: "固件版本", uplink: "上行方式", heap: "可用内存", legend:
      "指示灯：常亮并短暂熄灭为通过；一长两短为未通过；闪 2 下：没有网络；3 下：没有主机；4 下：没有密钥；5 下：什么也没收到。",
    steps: {
      connected: "未连接。请数指示灯闪几下：2 下是没有网络（网线、Wi-Fi），3 下是找不到主机。",
      alone: "有两块板使用同一个探针编号，请取下其中一块。",
      key: "已连接，但还没有密钥。请等一分钟，然后查看主机日志。",
      config: "尚未采用配置。请等一分钟，或重新启动它。",
      delivers: "没有收到它的数据。网络是否过慢或被阻断？请重新启动它。",
      wifi: "没有收到 Wi-Fi。请拿一部打开 Wi-Fi 的手机靠近它，并检查天线和信道。",
    },
  },
};
const language = (navigator.languages || [navigator.language]).some((one) => /^zh/i.test(one)) &&
  !/^en/i.test(navigator.language) ? "zh" : "en";
const words = WORDS[language];
const ORDER = { fail: 0, wait: 1, pass: 2 };

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function ago(seconds) {
  if (seconds === undefined || seconds === null) return words.never;
  const unit = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const format = new Intl.NumberFormat(language, { style: "unit", unit: unit[1], unitDisplay: "long", maximumFractionDigits: 0 });
  return words.ago(format.format(unit[0]));
}

function figure(list, name, value, kind) {
  const row = element("div", undefined, kind);
  row.append(element("dt", name), element("dd", value));
  list.append(row);
}

function card(probe) {
  const made = element("article", undefined, probe.verdict);
  const top = element("div", undefined, "top");
  top.append(element("h2", probe.id), element("span", words[probe.verdict], "verdict"));
  made.append(top);
  if (probe.step) made.append(element("p", words.steps[probe.step] || probe.step, "next"));
  const list = element("dl");
  const rate = (value) => (value || 0).toLocaleString(language, { maximumFractionDigits: 1 });
  figure(list, words.heard, ago(probe.heard_s), "wide");
  figure(list, words.wifi, rate(probe.wifi_per_s));
  figure(list, words.ble, rate(probe.ble_per_s));
  figure(list, words.rssi, probe.rssi_dbm === undefined || probe.rssi_dbm === null ? "–" : `${probe.rssi_dbm} dBm`);
  figure(list, words.channels, (probe.channels || []).join(", ") || "–");
  figure(list, words.uplink, probe.uplink || "–");
  figure(list, words.heap, probe.memory ? `${Math.round(probe.memory.free_bytes / 1024)} KiB` : "–");
  const drops = Object.entries(probe.drops || {}).map(([name, count]) => `${name} ${count}`).join(", ");
  figure(list, words.drops, drops || words.none, "wide");
  made.append(list);
  return made;
}

async function look() {
  const sum = document.getElementById("sum");
  try {
    const answer = await fetch("probes.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const told = await answer.json();
    const rows = [...told.rows].sort((a, b) => ORDER[a.verdict] - ORDER[b.verdict]);
    document.getElementById("site").textContent = document.title = told.name;
    sum.textContent = words.sum(rows.filter((row) => row.verdict === "pass").length, rows.length);
    sum.className = "";
    document.getElementById("probes").replaceChildren(...rows.map(card));
  } catch {
    sum.textContent = words.lost;
    sum.className = "lost";
  }
}

document.documentElement.lang = language;
document.getElementById("foot").textContent = words.legend;
look();
setInterval(look, 2000);
