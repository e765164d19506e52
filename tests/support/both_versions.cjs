// A backend that speaks HTTP/1.1 and HTTP/2 on each of its ports: `node both_versions.cjs [CERT KEY]` prints the port without
// TLS, and that with TLS, where ALPN decides; without TLS the first bytes do. An answer is JSON with what it was asked in:
// `version`, `alpn`, and `connection`, a number. `/after/MS` is answered so much later.

const { readFileSync } = require("node:fs");
const { createServer: createHttp } = require("node:http");
const http2 = require("node:http2");
const net = require("node:net");

const numbers = new WeakMap();
let connections = 0;

function numberOf(socket) {
  if (!numbers.has(socket)) numbers.set(socket, ++connections);
  return numbers.get(socket);
}

function answer(request, response) {
  const { httpVersion: version, url } = request;
  // what HTTP/2 shows of a socket is a proxy of its own for each question; its session stays the same
  const owner = version === "2.0" ? request.stream.session : request.socket;
  const alpn = version === "2.0" ? owner.alpnProtocol : request.socket.alpnProtocol;
  const told = JSON.stringify({ version, alpn, connection: numberOf(owner) });
  const afterMs = Number(/^\/after\/(\d+)/.exec(url)?.[1] ?? 0);
  request.resume().on("end", () => setTimeout(() => response.end(told), afterMs));
}

const [http1, plain2] = [createHttp(answer), http2.createServer(answer)];

const plain = net.createServer((socket) => {
  socket.on("error", () => {});
  socket.once("data", (bytes) => {
    socket.pause();
    socket.unshift(bytes);
    (bytes.subarray(0, 3).toString() === "PRI" ? plain2 : http1).emit("connection", socket);
    process.nextTick(() => socket.resume());
  });
});

const [, , cert, key] = process.argv;
const options = cert ? { cert: readFileSync(cert), key: readFileSync(key), allowHTTP1: true } : null;
const secure = options && http2.createSecureServer(options, answer);

plain.listen(0, "127.0.0.1", () => {
  if (!secure) return console.log(JSON.stringify([plain.address().port]));
  secure.listen(0, "127.0.0.1", () => console.log(JSON.stringify([plain.address().port, secure.address().port])));
});
process.stdin.on("end", () => process.exit(0)).resume();
