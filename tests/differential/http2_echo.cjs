// An HTTP/2 server without TLS that answers each request with its own fields, and with all that it has read as JSON in
// `x-read`. What came never indexed goes back so. `x-resize` makes it change the size of its table.

const http2 = require("node:http2");

const server = http2.createServer();

server.on("stream", (stream, headers, _flags, raw) => {
  const answer = { ":status": 200 };
  const read = [];
  for (let at = 0; at < raw.length; at += 2) {
    read.push([raw[at], raw[at + 1]]);
    if (raw[at].startsWith(":")) continue;
    if (raw[at] === "x-resize") stream.session.settings({ headerTableSize: Number(raw[at + 1]) });
    else answer[raw[at]] = raw[at + 1];
  }
  answer["x-read"] = Buffer.from(JSON.stringify(read)).toString("base64");
  answer[http2.sensitiveHeaders] = headers[http2.sensitiveHeaders].filter((name) => !name.startsWith(":"));
  stream.on("error", () => {});
  stream.respond(answer, { endStream: true });
});

server.on("sessionError", (error) => console.error(error));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
