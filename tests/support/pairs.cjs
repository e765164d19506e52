// Both ends of the proxy in one program of node's: a backend that speaks HTTP/1.1 and HTTP/2, without TLS and with, and clients of
// both. `node pairs.cjs CERT KEY CA` prints its four ports; then each line of its input is a task: exchanges that are sent through
// the proxy by one client, whose answer is a line with what the backend has seen of each and what the client has got.
//
// What the backend does for a request is said by its field x-do (see Doing in pairs.ts).

const crypto = require("node:crypto");
const { readFileSync } = require("node:fs");
const http = require("node:http");
const http2 = require("node:http2");
const https = require("node:https");
const readline = require("node:readline");

const [, , certPath, keyPath, caPath] = process.argv;
const pair = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
const ca = readFileSync(caPath);
/** A body is this, again and again: a prime length, so that what is lost or moved changes the hash. */
const BLOCK = crypto.createHash("shake256", { outputLength: 65_521 }).update("block").digest();
/** What belongs to a connection and not to a message, or is new each time. */
const LEFT_OUT = [
  "x-do",
  "x-number",
  "via",
  "host",
  "connection",
  "keep-alive",
  "transfer-encoding",
  "date",
  "x-request-id",
  "http2-settings",
  "trailer",
];

/** An exchange that takes longer has got stuck. */
const LATE_MS = 10_000;

/** What has been seen of requests, by number; and who waits for it. */
const seen = new Map();
let nextNumber = 1;

// ---- bodies ----

function hashOf(size) {
  const hash = crypto.createHash("md5");
  for (let at = 0; at < size; at += BLOCK.length) hash.update(BLOCK.subarray(0, Math.min(BLOCK.length, size - at)));
  return hash.digest("hex");
}

/** Writes `size` bytes as the other side takes them. False: it was destroyed. */
async function writeBody(to, size) {
  for (let at = 0; at < size; at += BLOCK.length) {
    if (to.destroyed || to.writableEnded) return false;
    const part = BLOCK.subarray(0, Math.min(BLOCK.length, size - at));
    if (to.write(part)) continue;
    if (await takesMore(to)) return false;
  }
  return true;
}

/** Resolves when more may be written; true: it was closed. */
function takesMore(to) {
  return new Promise((resolve) => {
    const end = (isClosed) => {
      to.off("drain", onDrain).off("close", onClose);
      resolve(isClosed);
    };
    const onDrain = () => end(false);
    const onClose = () => end(true);
    to.on("drain", onDrain).on("close", onClose);
    if (to.destroyed) onClose();
  });
}

class Digest {
  #hash = crypto.createHash("md5");
  bytes = 0;
  take(part) {
    this.bytes += part.length;
    this.#hash.update(part);
  }
  end() {
    return { bytes: this.bytes, hash: this.#hash.digest("hex") };
  }
}

/** Fields by name, in order, several of one name joined as they may be. */
function fieldsOf(raw) {
  const byName = new Map();
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at].toLowerCase();
    if (name.startsWith(":") || LEFT_OUT.includes(name)) continue;
    const before = byName.get(name);
    const between = name === "cookie" ? "; " : ", ";
    byName.set(name, before === undefined ? raw[at + 1] : before + between + raw[at + 1]);
  }
  return [...byName].sort(([a], [b]) => a < b ? -1 : 1);
}

const rawOf = (headers) =>
  Object.entries(headers).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, String(one)]));

// ---- the backend ----

/** Somebody has gone before the end: what is known of it is told. */
const serve = (request, response) => answer(request, response).catch(() => {});

async function answer(request, response) {
  const number = Number(request.headers["x-number"]);
  const todo = JSON.parse(request.headers["x-do"] ?? "{}");
  const one = {
    version: request.httpVersion,
    method: request.method,
    path: request.url,
    authority: request.authority ?? request.headers.host,
    fields: fieldsOf(request.rawHeaders),
  };
  seen.set(number, one);
  request.on("error", () => {});
  response.on("error", () => {});
  const digest = new Digest();
  const reading = todo.echo ? null : read(request, digest, todo);
  if (!todo.early) await reading;
  if (todo.afterMs) await new Promise((resolve) => setTimeout(resolve, todo.afterMs));
  if (!todo.echo && !todo.early) {
    Object.assign(one, { body: digest.end(), trailers: fieldsOf(rawOf(request.trailers)) });
  }
  if (todo.cut === "before") return cut(request, response);
  for (let i = 0; i < (todo.hints ?? 0); i++) response.writeEarlyHints({ link: `</${i}.css>; rel=preload` });
  const size = todo.size ?? 0;
  for (const [name, value] of todo.fields ?? []) response.setHeader(name, value);
  response.statusCode = todo.status ?? 200;
  if (todo.framing === "length") response.setHeader("content-length", todo.says ?? size);
  if (todo.cut === "head") {
    response.flushHeaders?.();
    return setTimeout(() => cut(request, response), 50);
  }
  if (todo.echo) await echo(request, response, one, digest);
  else if (size > 0 && request.method !== "HEAD") await writeBody(response, size);
  if (todo.cut === "body") return setTimeout(() => cut(request, response), 50);
  if (todo.trailers) {
    // without a body they would come before their field section begins
    if (size === 0 && !todo.echo) response.flushHeaders?.();
    response.addTrailers(Object.fromEntries(todo.trailers));
  }
  response.end();
}

async function read(request, digest, { early }) {
  if (early) return;
  for await (const part of request) digest.take(part);
}

async function echo(request, response, one, digest) {
  for await (const part of request) {
    digest.take(part);
    if (!response.write(part) && await takesMore(response)) return;
  }
  Object.assign(one, { body: digest.end(), trailers: fieldsOf(rawOf(request.trailers)) });
}

/** Ends the connection, or of several streams this one. */
function cut(request, response) {
  if (request.httpVersion === "2.0") response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  else request.socket.destroy();
}

function listen(server) {
  server.on("checkContinue", (request, response) => {
    if (!JSON.parse(request.headers["x-do"]).early) response.writeContinue();
    server.emit("request", request, response);
  });
  server.on("sessionError", () => {});
  server.on("clientError", (_error, socket) => socket.destroy());
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

// ---- clients ----

function connect({ version, url, sessions = 1 }) {
  if (version === 2) {
    const all = Array.from(
      { length: sessions },
      () => http2.connect(url, { ca, servername: "a.test", maxSessionMemory: 1000 }),
    );
    for (const session of all) {
      session.setMaxListeners(0);
      session.on("error", (error) => console.error(`client: ${error}`));
      session.on("goaway", (code) => code && console.error(`client: GOAWAY ${code}`));
    }
    return { sessions: all, end: () => all.forEach((session) => session.destroy()) };
  }
  const { Agent } = url.startsWith("https") ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 100, ca, servername: "a.test" });
  return { agent, end: () => agent.destroy() };
}

function headersOf(number, { fields = [], todo = {}, body, expects }) {
  const headers = { "x-number": String(number), "x-do": JSON.stringify(todo) };
  for (const [name, value] of fields) headers[name] = name in headers ? [headers[name], value].flat() : value;
  if (expects) headers.expect = "100-continue";
  if (body?.framing === "length") headers["content-length"] = String(body.size);
  return headers;
}

function request1({ agent }, url, number, { method = "GET", path, body, ...more }) {
  const headers = headersOf(number, { ...more, body });
  if (body?.framing === "stream") headers["transfer-encoding"] = "chunked";
  const { request } = url.startsWith("https") ? https : http;
  const one = request(url, { agent, method, path, headers: { host: "a.test", ...headers } });
  // node tells of several interim answers by one event each, and of 100 by another one
  one.on("information", ({ statusCode, headers }) => one.emit("interim", statusCode, rawOf(headers)));
  one.on("response", (answer) => {
    one.emit("head", answer.statusCode, answer.rawHeaders);
    answer.on("data", (part) => one.emit("part", part));
    answer.on("error", () => {});
    answer.on("close", () => one.emit("over", answer.complete, fieldsOf(answer.rawTrailers)));
  });
  one.on("error", () => {
    if (!one.res) one.emit("over", false, []);
  });
  one.trailers = () => one.addTrailers(Object.fromEntries(more.trailers ?? []));
  one.reset = () => one.destroy();
  one.goesAhead = new Promise((resolve) => one.once("continue", resolve));
  if (more.expects) one.flushHeaders();
  return one;
}

function request2({ sessions }, _url, number, { method = "GET", path, body, trailers, ...more }) {
  const pseudo = { ":method": method, ":path": path, ":authority": "a.test" };
  const headers = headersOf(number, { ...more, body });
  const options = { endStream: !body, waitForTrailers: Boolean(trailers) };
  const one = sessions[number % sessions.length].request({ ...pseudo, ...headers }, options);
  let got = [];
  let isWhole = false;
  one.on("headers", (fields) => one.emit("interim", fields[":status"], rawOf(fields)));
  one.on("response", (fields, _flags, raw) => one.emit("head", fields[":status"], raw ?? rawOf(fields)));
  one.on("data", (part) => one.emit("part", part));
  one.on("trailers", (fields) => got = fieldsOf(rawOf(fields)));
  one.on("end", () => isWhole = true);
  // answered and reset before its body has gone, node would wait for somebody to take that
  if (body) one.on("aborted", () => setTimeout(() => one.destroy(), 5));
  one.on("error", () => {});
  one.on("close", () => one.emit("over", isWhole && one.rstCode === 0, got));
  one.on("wantTrailers", () => one.sendTrailers(Object.fromEntries(trailers)));
  one.trailers = () => {};
  one.reset = () => one.close(http2.constants.NGHTTP2_CANCEL);
  one.goesAhead = new Promise((resolve) => one.once("continue", resolve));
  return one;
}

function exchange(client, { version, url }, spec) {
  const number = nextNumber++;
  const got = { interim: [] };
  const digest = new Digest();
  return new Promise((resolve) => {
    const one = (version === 2 ? request2 : request1)(client, url, number, spec);
    const late = setTimeout(() => {
      got.isLate = true;
      one.reset();
    }, spec.lateMs ?? LATE_MS);
    one.on("interim", (status, raw) => status !== 100 && got.interim.push([status, fieldsOf(raw)]));
    one.on("head", (status, raw) => {
      Object.assign(got, { status, fields: fieldsOf(raw) });
      if (spec.resets === "head") one.reset();
    });
    one.on("part", (part) => {
      digest.take(part);
      if (spec.resets === "body") one.reset();
    });
    one.on("over", (isWhole, trailers) => {
      // how much comes before it is cut is a matter of time
      clearTimeout(late);
      if (isWhole) Object.assign(got, { body: digest.end(), trailers });
      else got.isCut = true;
      resolve({ number, got });
    });
    send(one, spec, got);
    if (spec.resets === "at once") setTimeout(() => one.reset(), 20);
  });
}

async function send(one, { body, expects, keepsOpen, trailers }, got) {
  if (!body) return one.end();
  if (expects) {
    // answered without being asked for the body: nothing more is sent
    const asked = await Promise.race([
      one.goesAhead.then(() => true),
      new Promise((r) => one.once("head", () => r(false))),
    ]);
    got.wasAsked = asked;
    // HTTP/2 takes the end of a body that is shorter than was said for a fault
    if (!asked) return one.session ? undefined : one.end();
  }
  if (!await writeBody(one, body.size) || keepsOpen) return;
  if (trailers) one.trailers();
  one.end();
}

async function run(task) {
  const client = connect(task);
  const results = [];
  const { exchanges, atOnce = 1 } = task;
  let next = 0;
  const worker = async () => {
    while (next < exchanges.length) {
      const at = next++;
      results[at] = await exchange(client, task, exchanges[at]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  // what the backend was still reading when it had answered
  await new Promise((resolve) => setTimeout(resolve, task.restMs ?? 20));
  client.end();
  return results.map(({ number, got }) => ({ got, seen: seen.get(number) ?? null }));
}

const secure = { ...pair, ca };
const servers = [
  http.createServer(serve),
  http2.createServer({ maxSessionMemory: 1000 }, serve),
  https.createServer({ ...secure, ALPNProtocols: ["http/1.1"] }, serve),
  http2.createSecureServer({ ...secure, maxSessionMemory: 1000 }, serve),
];
Promise.all(servers.map(listen)).then((ports) => {
  console.log(JSON.stringify(ports));
  readline.createInterface({ input: process.stdin }).on("line", async (line) => {
    const task = JSON.parse(line);
    if (task.hash !== undefined) console.log(JSON.stringify(hashOf(task.hash)));
    else console.log(JSON.stringify(await run(task)));
  }).on("close", () => process.exit(0));
});
