// Metrics of a proxy at work: everything that is counted says what it means, and connections and requests of HTTP/2 are told apart
// by their side.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { Http2Backend, type Http2Request } from "../support/h2_backend.ts";
import { Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { eventually, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { Client } from "../unit/control/client.ts";

const PING = f.frame(f.PING, 0, 0, new Uint8Array(8));

Deno.test({
  name: "metrics say what they mean, on which side HTTP/2 is spoken, and what abuse there was",
  ignore: requireTools("openssl"),
  async fn() {
    await using folder = new CertificateFolder();
    const { cert, key } = folder.make("one", { names: ["localhost"] });
    const held: Http2Request[] = [];
    await using backend = await Http2Backend.start({ onRequest: (one) => held.push(one) });
    await using proxy = await startProxy(`
listeners:
  web: { address: "127.0.0.1:0", h2c: true }
  tls: { address: "127.0.0.1:0", protocol: https }
certificates: [{ name: one, cert: ${cert}, key: ${key} }]
clusters: { app: { backends: ["${backend.address}"], protocol: h2c } }
routes: [{ cluster: app }]
`);
    using control = await Client.connect(proxy.socket);
    const metrics = async (): Promise<string> => (await control.ask({ verb: "metrics" })).text;
    const value = (text: string, name: string) =>
      Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)$`, "m").exec(text)?.[1]);
    using one = await Http2Client.connect(proxy.port("web"));
    using two = await Http2Client.connect(proxy.port("web"));
    await one.ask(1, "/held");
    await two.ask(1, "/held");
    await eventually("both are asked", () => held.length, (count) => count === 2);
    const text = await metrics();
    const sides = ["h2", "upstreams_h2"].map((side) =>
      ["connections", "streams"].map((what) => value(text, `kakehi_${side}_${what}_active`))
    );
    assertEquals(sides, [[2, 2], [1, 2]]);
    const helps = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)];
    assert(helps.length > 60, `${helps.length} metrics`);
    for (const [line, , help] of helps) assert(help !== "undefined" && help !== "", line);
    await one.send(...Array.from({ length: 101 }, () => PING));
    await one.seen(/^GOAWAY .* ENHANCE_YOUR_CALM/);
    assertMatch(await metrics(), /^kakehi_h2_abuse_total\{[^}]*reason="ping"\} 1$/m);
  },
});
