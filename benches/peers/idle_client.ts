// A process that holds many keep-alive connections. It is told what to do by lines on its standard input and answers each
// with a line of JSON: `open COUNT` makes connections and one request on each, `burst` makes a request on all of them at
// once, `close` closes them. It is a process of its own because a process may hold only so many descriptors.

import { Client, type Place } from "./client.ts";

/** Connections made at a time, far below any backlog. */
const OPENING = 64;
const READ_SIZE = 1_024;

/** Gives how many of the requests were not answered with 200, and why the first was not. */
async function requestAll(clients: Client[], path: string, atOnce: number): Promise<{ failed: number; why: string }> {
  const result = { failed: 0, why: "" };
  let next = 0;
  async function lane(): Promise<void> {
    for (let client = clients[next++]; client; client = clients[next++]) {
      const failure = await client.get(path).then((a) => a.status === 200 ? "" : `status ${a.status}`, String);
      if (failure === "") continue;
      result.failed++;
      result.why ||= failure;
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane));
  return result;
}

async function open(place: Place, count: number): Promise<Client[]> {
  const clients: Client[] = [];
  async function lane(): Promise<void> {
    while (clients.length + OPENING <= count) clients.push(await Client.connect(place, READ_SIZE));
  }
  await Promise.all(Array.from({ length: OPENING }, lane));
  while (clients.length < count) clients.push(await Client.connect(place, READ_SIZE));
  return clients;
}

if (import.meta.main) {
  const [port = "", path = "/", cert] = Deno.args;
  const place = { port: Number(port), authority: cert === undefined ? null : Deno.readTextFileSync(cert) };
  let clients: Client[] = [];
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const line of lines) {
    const [verb, count] = line.trim().split(" ");
    let result = { failed: 0, why: "" };
    try {
      if (verb === "open") {
        clients = await open(place, Number(count));
        result = await requestAll(clients, path, OPENING);
      } else if (verb === "burst") {
        result = await requestAll(clients, path, clients.length);
      } else {
        for (const client of clients.splice(0)) client.close();
      }
    } catch (error) {
      result = { failed: Number(count ?? 0), why: String(error) };
    }
    console.log(JSON.stringify(result));
  }
}
