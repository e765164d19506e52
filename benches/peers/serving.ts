// Whether a server answers as it must, to the byte: waited for when it starts, and checked again before each scenario,
// because a figure for wrong answers is worth nothing.

import type { Page } from "./backend.ts";
import { type Answer, Client, type Place } from "./client.ts";
import { type Child, ending, said, sleep } from "./stage.ts";

const START_PATIENCE_MS = 15_000;
const CHECK_PATIENCE_MS = 10_000;

/** Throws, with what the program said, when it ends or does not serve in time. */
export async function waitUntilServing(child: Child, place: Place, page: Page): Promise<void> {
  const deadline = Date.now() + START_PATIENCE_MS;
  let last: unknown = "";
  while (Date.now() < deadline) {
    if (child.status) throw new Error(`${child.name} ended at its start with ${ending(child.status)}: ${said(child)}`);
    try {
      return await checkServing(place, page, false);
    } catch (error) {
      last = error;
    }
    await sleep(20);
  }
  throw new Error(`${child.name} does not serve ${START_PATIENCE_MS} ms after its start (${last}): ${said(child)}`);
}

/** Two right answers on one connection; or, with `close`, one and then the end of the connection. */
export async function checkServing(place: Place, page: Page, close: boolean): Promise<void> {
  const client = await Client.connect(place);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no whole answer in ${CHECK_PATIENCE_MS} ms`)), CHECK_PATIENCE_MS);
  });
  try {
    await Promise.race([close ? checkClosing(client, page) : checkKeeping(client, page), late]);
  } finally {
    clearTimeout(timer);
    client.close();
  }
}

async function checkKeeping(client: Client, page: Page): Promise<void> {
  checkAnswer(await client.get(page.path), page);
  checkAnswer(await client.get(page.path), page);
}

async function checkClosing(client: Client, page: Page): Promise<void> {
  checkAnswer(await client.get(page.path, true), page);
  if (!await client.isAtEnd()) throw new Error(`the connection goes on after an answer to "Connection: close"`);
}

function checkAnswer(answer: Answer, page: Page): void {
  if (answer.status !== 200) {
    throw new Error(`${page.path} is answered with ${answer.status}, not 200:\n${answer.head}`);
  }
  const { length } = page.body;
  if (answer.body.length !== length) throw new Error(`${page.path} has ${answer.body.length} bytes, not ${length}`);
  const wrong = answer.body.findIndex((byte, i) => byte !== page.body[i]);
  if (wrong >= 0) throw new Error(`${page.path} differs from the backend's body at byte ${wrong}`);
}
