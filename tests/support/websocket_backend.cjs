// A backend that takes WebSockets over HTTP/1.1 and, by extended CONNECT (RFC 8441), over HTTP/2, each without TLS: greets with
// "hello", then gives back what comes until its client ends. Prints both ports and the port of an HTTP/2 server that takes
// none; a line for each WebSocket with what it was asked with. Ends with its standard input.

const { createHash } = require("node:crypto");
const http = require("node:http");
const http2 = require("node:http2");

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

function carry(stream, asked) {
  console.log(JSON.stringify(asked));
  stream.on("error", () => {});
  stream.write("hello");
  stream.on("data", (part) => stream.write(part));
  stream.on("end", () => stream.end());
}

const one = http.createServer((_, response) => response.end("no WebSocket"));
one.on("upgrade", (request, socket) => {
  const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + GUID).digest("base64");
  const said = request.url === "/lies" ? accept.toLowerCase() : accept;
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${said}\r\n` +
      "Sec-WebSocket-Protocol: chat\r\n\r\n",
  );
  carry(socket, { method: request.method, path: request.url, fields: request.headers });
});

const two = http2.createServer({ settings: { enableConnectProtocol: true } });
two.on("stream", (stream, fields) => {
  if (fields[":protocol"] !== "websocket") return void stream.respond({ ":status": 200 }, { endStream: true });
  if (fields[":path"] === "/refused") return void stream.respond({ ":status": 403 }, { endStream: true });
  stream.respond({ ":status": 200, "sec-websocket-protocol": "chat" });
  carry(stream, { method: fields[":method"], path: fields[":path"], fields });
});

const without = http2.createServer((_, response) => response.end("no WebSocket"));

const servers = [one, two, without];
Promise.all(servers.map((server) => new Promise((done) => server.listen(0, "127.0.0.1", done)))).then(() =>
  console.log(JSON.stringify(servers.map((server) => server.address().port)))
);
process.stdin.on("end", () => process.exit()).resume();
