// Load over HTTP/2 by node's client, which keeps what GOAWAY asks of it: what has been asked is waited for, what comes next is
// asked on another connection. `node http2_load.cjs URL SECONDS CONNECTIONS STREAMS` ends with a line of JSON.

const http2 = require("node:http2");

const [url, seconds, connections, streams] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const end = Date.now() + seconds * 1000;
const report = { answered: 0, connections: 0, failures: [] };
let running = connections;

function connect() {
  const session = http2.connect(url, { rejectUnauthorized: false });
  report.connections++;
  const state = { session, leaving: false, open: 0 };
  session.on("goaway", () => state.leaving = true);
  session.on("close", () => state.leaving = true);
  session.on("error", (error) => {
    state.leaving = true;
    report.failures.push(`connection: ${error.code ?? error.message}`);
  });
  return state;
}

class Client {
  constructor() {
    this.state = connect();
    for (let i = 0; i < streams; i++) this.ask();
    this.left = streams;
  }

  ask() {
    if (Date.now() >= end) return this.over();
    if (this.state.leaving || this.state.session.destroyed || this.state.session.closed) this.state = connect();
    const request = this.state.session.request({ ":path": "/load" });
    let status = 0;
    let ended = false;
    let refused = false;
    request.on("response", (headers) => status = headers[":status"]);
    request.on("data", () => {});
    request.on("end", () => ended = true);
    request.on("error", (error) => {
      refused = request.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM;
      if (!refused) report.failures.push(`${error.code}: ${error.message}`);
    });
    request.on("close", () => {
      if (status === 200 && ended) report.answered++;
      else if (!refused) report.failures.push(`status ${status}, reset ${request.rstCode}`);
      this.ask();
    });
  }

  over() {
    if (--this.left > 0) return;
    this.state.session.close();
    if (--running > 0) return;
    console.log(JSON.stringify({ ...report, failures: report.failures.slice(0, 10), failed: report.failures.length }));
    process.exit(0);
  }
}

for (let i = 0; i < connections; i++) new Client();
