// Random rules and requests from a few words, so that rules are close to each other and requests find them.

import type { RouteRule } from "../../../src/ts/routing/router.ts";
import type { Random } from "../../support/random.ts";
import type { Request } from "./reference.ts";
import { pick, rule } from "./support.ts";

const LABELS = ["a", "b", "c", "test"];
const SEGMENTS = ["a", "b", "api", "v1", "x.y", "a"];
const EXPRESSIONS = [
  "~/a.*",
  "~/[ab]+",
  "~/api/v[0-9]+/.*",
  "~/a|/b/.*",
  "~.*/v1",
  "~/(?:a/)*b?",
  "~/é.*",
  "~/x\\.y/?",
  "~/a?b*",
];
const NOISE = ["//", "/./", "/../", "/%2e%2E/", "/b/../", "/%2f", "/%C3%A9", "/%61", "/.", "/..", "/", "/..."];

function randomName(random: Random): string {
  return Array.from({ length: 1 + random.below(4) }, () => pick(random, LABELS)).join(".");
}

function randomPath(random: Random, segmentsMax: number): string {
  return "/" + Array.from({ length: random.below(segmentsMax + 1) }, () => pick(random, SEGMENTS)).join("/");
}

/** A rule of any form, of few words, so that rules meet. */
export function randomRule(random: Random): RouteRule {
  const host = pick(random, ["", "*", "exact", "exact", "wildcard", "wildcard"]);
  const path = pick(random, ["", "exact", "exact", "prefix", "prefix", "prefix", "expression"]);
  const written = rule("", { priority: random.below(3) - 1 });
  if (host === "exact") written.host = randomName(random);
  else written.host = host === "wildcard" ? `*.${randomName(random)}` : host;
  if (path === "exact") written.path = randomPath(random, 3) + pick(random, ["", "", "/"]);
  else if (path === "prefix") written.path = `${randomPath(random, 3)}/*`;
  else if (path === "expression") written.path = pick(random, EXPRESSIONS);
  if (random.below(3) === 0) {
    written.methods = pick(random, [["GET"], ["POST"], ["GET", "POST"], ["PUT", "POST", "GET"]]);
  }
  if (random.below(3) === 0) {
    written.headers = pick<Record<string, string>>(random, [{ "x-a": "1" }, { "X-A": "*" }, {
      "x-b": "*",
      "X-a": "2",
    }]);
  }
  return written;
}

/** A request that half of the time is aimed at one of the rules. */
export function randomRequest(random: Random, rules: readonly RouteRule[]): Request {
  let host = randomName(random);
  let path = randomPath(random, 4);
  if (rules.length > 0 && random.below(2) === 0) {
    const aim = pick(random, rules);
    if (aim.host !== "" && aim.host !== "*") host = aim.host.replace("*", pick(random, ["a", "b.c", "test.a.b"]));
    if (aim.path.startsWith("/")) path = aim.path.replace("/*", pick(random, ["", "/", "/a", "/x.y/b"]));
  }
  if (random.below(4) === 0) host = host.toUpperCase();
  if (random.below(4) === 0) host += pick(random, [".", ":80", ".:8080", ":", ".."]);
  if (random.below(3) === 0) path = path.replace("/", pick(random, NOISE));
  if (random.below(4) === 0) path += pick(random, NOISE);
  if (random.below(40) === 0) path = pick(random, ["*", "", "/", "//"]);
  const headers: Record<string, string[]> = {};
  if (random.below(2) === 0) headers["x-a"] = pick(random, [["1"], ["2"], ["3"], ["1", "2"]]);
  if (random.below(2) === 0) headers["x-b"] = [""];
  return { host, path, method: pick(random, ["GET", "POST", "PUT", "HEAD"]), headers };
}
