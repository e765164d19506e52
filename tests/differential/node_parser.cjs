// node's own HTTP parser, run by node: reads messages from standard input and writes what it makes of each, a line of JSON
// a message. A message is: u32 length (little endian) | u8 side (0 request, 1 response, 2 response to HEAD) | bytes.

const process = require("node:process");
const { Buffer } = require("node:buffer");

// the binding is what node:http is built on; the streams on top of it would only add time and policy
process.removeAllListeners("warning");
const { HTTPParser, methods } = process.binding("http_parser");

function newReading() {
  return {
    verdict: "more",
    reason: "",
    hasHead: false,
    version: "",
    method: "",
    target: "",
    status: 0,
    fields: [],
    body: "",
  };
}

function pairs(list) {
  const fields = [];
  for (let i = 0; i < list.length; i += 2) fields.push([list[i], list[i + 1]]);
  return fields;
}

function read(side, bytes) {
  const reading = newReading();
  const parser = new HTTPParser();
  parser.initialize(side === 0 ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {});
  let done = false;
  parser[HTTPParser.kOnHeaders] = (list, url) => {
    if (done || reading.hasHead) return;
    reading.fields.push(...pairs(list));
    reading.target += url;
  };
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, list, method, url, status) => {
    if (done) return 0;
    reading.hasHead = true;
    reading.version = `${major}.${minor}`;
    if (list) reading.fields.push(...pairs(list));
    if (side === 0) {
      // the newest methods are not in the list that the binding exports
      reading.method = methods[method] ?? "";
      if (url) reading.target += url;
    } else {
      reading.status = status;
    }
    return side === 2 ? 1 : 0;
  };
  parser[HTTPParser.kOnBody] = (body) => {
    if (!done) reading.body += body.latin1Slice();
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    done = true;
  };
  const result = parser.execute(bytes);
  if (done) reading.verdict = "whole";
  else if (result instanceof Error) {
    reading.verdict = "refused";
    reading.reason = result.reason;
  }
  for (const field of reading.fields) field[1] = field[1].replace(/[ \t]+$/, "");
  return reading;
}

let rest = Buffer.alloc(0);
process.stdin.on("data", (piece) => {
  rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
  let at = 0;
  let lines = "";
  while (rest.length - at >= 5) {
    const length = rest.readUInt32LE(at);
    if (rest.length - at < 5 + length) break;
    lines += JSON.stringify(read(rest[at + 4], rest.subarray(at + 5, at + 5 + length))) + "\n";
    at += 5 + length;
  }
  rest = rest.subarray(at);
  process.stdout.write(lines);
});
