// Bodies by node's client of HTTP/2: `node http2_bodies.cjs URL AUTHORITY CONNECTIONS STREAMS BYTES` posts a body on each stream of
// each connection, all at once, with a trailer behind it, and compares what /echo gives back. Ends with a line of JSON.

const http2 = require("node:http2");
const fs = require("node:fs");
const crypto = require("node:crypto");

const [url, authority, ...numbers] = process.argv.slice(2);
const [connections, streams, bytes] = numbers.map(Number);
const body = crypto.randomBytes(bytes);
const report = { answered: 0, bytes: 0, failures: [] };

function exchange(session, number) {
  return new Promise((resolve) => {
    const request = session.request({ ":method": "POST", ":path": "/echo" }, { waitForTrailers: true });
    const parts = [];
    let trailer = "";
    request.on("wantTrailers", () => request.sendTrailers({ "x-sent": `number ${number}` }));
    request.on("data", (part) => parts.push(part));
    request.on("trailers", (fields) => trailer = fields["x-got"]);
    request.on("error", (error) => report.failures.push(String(error)));
    request.on("close", () => {
      const got = Buffer.concat(parts);
      if (got.equals(body) && trailer === `number ${number}`) report.answered++;
      else report.failures.push(`stream ${number}: ${got.length} bytes, trailer ${trailer}, reset ${request.rstCode}`);
      report.bytes += got.length;
      resolve();
    });
    request.end(body);
  });
}

async function connection() {
  // in MB: by default it gives up streams of its own beyond ten
  const ca = authority === "" ? undefined : fs.readFileSync(authority);
  const session = http2.connect(url, { ca, maxSessionMemory: 1000 });
  session.on("error", (error) => report.failures.push(String(error)));
  await Promise.all(Array.from({ length: streams }, (_, number) => exchange(session, number)));
  session.close();
}

Promise.all(Array.from({ length: connections }, connection)).then(() => {
  report.failures.length = Math.min(report.failures.length, 10);
  console.log(JSON.stringify(report));
});
