// The reference client of Improv Serial (npm: improv-wifi-serial-sdk) on a socket instead of a Web Serial port.
// node improv_reference.mjs PORT '[["initialize"], ...]': one line of JSON a step.
import { register } from "node:module";
import { connect } from "node:net";
import { pathToFileURL } from "node:url";

// Its files are ECMAScript modules that name each other without .js, as bundlers like it.
const hook = `
  export const resolve = (name, context, next) =>
    next(/^\\.{1,2}\\//.test(name) && !/\\.m?js$/.test(name) ? name + ".js" : name, context);
  export const load = async (url, context, next) =>
    next(url, url.includes("improv-wifi-serial-sdk") ? { ...context, format: "module" } : context);
`;
register("data:text/javascript," + encodeURIComponent(hook));
if (!globalThis.CustomEvent) {
  globalThis.CustomEvent = class extends Event {
    constructor(name, options) {
      super(name, options);
      this.detail = options?.detail;
    }
  };
}
const { ImprovSerial } = await import(pathToFileURL(process.env.SDK + "/serial.js"));

const socket = connect(Number(process.argv[2]), "127.0.0.1");
await new Promise((resolve) => socket.once("connect", resolve));
const readable = new ReadableStream({
  start(controller) {
    socket.on("data", (data) => controller.enqueue(new Uint8Array(data)));
  },
});
const writable = new WritableStream({ write: (data) => void socket.write(data) });
const quiet = { log() {}, debug() {}, error: (...what) => console.error(...what) };
const client = new ImprovSerial({ readable, writable }, quiet);

async function step([name, ...values]) {
  switch (name) {
    case "initialize":
      return { info: await client.initialize(5000), state: client.state };
    case "scan":
      return client.scan();
    case "provision":
      await client.provision(...values);
      return { state: client.state };
    case "state":
      await client.requestCurrentState();
      return { state: client.state };
    default:
      return client[name](...values);
  }
}

for (const one of JSON.parse(process.argv[3])) {
  try {
    console.log(JSON.stringify(await step(one)));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
process.exit(0);
