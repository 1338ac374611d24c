// The same consumer in JavaScript, with mqtt.js and Ajv alone: consumer.cjs PORT CONTRACT.
const fs = require("node:fs");
const path = require("node:path");
const mqtt = require("mqtt");
const Ajv = require("ajv/dist/2020");

const [port, folder] = process.argv.slice(2);
const read = (name) => JSON.parse(fs.readFileSync(path.join(folder, name), "utf8"));
const rows = read("topics.json").map((row) => ({
  ...row,
  pattern: new RegExp(`^${row.stream.replace(/<[^>]*>/, "[a-z0-9-]+")}$`),
}));
const ajv = new Ajv({ strict: false, validateFormats: false });
const checks = {};
for (const name of fs.readdirSync(folder)) {
  if (name !== "topics.json") checks[path.parse(name).name] = ajv.compile(read(name));
}
const seen = {};
const faults = [];

const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
client.subscribe("footfall/v1/#", { qos: 1 }, () => console.log("ready"));
client.on("message", (topic, payload) => {
  const stream = topic.split("/").slice(5).join("/");
  const row = rows.find((one) => one.pattern.test(stream));
  seen[row.stream] = (seen[row.stream] ?? 0) + 1;
  if (row.content === "batch") return;
  const text = payload.toString("utf8");
  const check = checks[row.schema];
  if (!check(row.content === "text" ? text : JSON.parse(text))) faults.push(`${topic}: ${ajv.errorsText(check.errors)}`);
});
process.stdin.resume();
process.stdin.on("end", () => {
  console.log(JSON.stringify({ seen, faults: faults.slice(0, 20) }));
  process.exit(0);
});
