// Writes CONFIGURATION.md from the schema. With --check it writes nothing and fails if the file is not what it would
// write. The example in it is read with the library, and so is the example of each key in the tests: documents that do
// not work cannot be generated.

import { formatErrors, loadState } from "../src/ts/config/mod.ts";
import { referenceText } from "../src/ts/config/reference.ts";
import { writeOrCheck } from "./generated.ts";

const EXAMPLE = `workers: auto
trusted_proxies: ["10.0.0.0/8"]

listeners:
  web: { address: "0.0.0.0:80", redirect_https: true }
  web6: { address: "[::]:80" }
  websecure: { address: "0.0.0.0:443", protocol: https, tls: { hsts: max-age=31536000 } }

certificates:
  - { cert: /etc/kakehi/example.pem, key: /etc/kakehi/example.key }

clusters:
  app:
    backends:
      - "10.0.0.1:8080"
      - { address: "10.0.0.2:8080", weight: 2 }
    balance: least_requests
  files:
    backends: ["unix:/run/files.sock"]
    timeouts: { response: 5m }

routes:
  - { host: example.com, cluster: app }
  - { host: "*.example.com", path: "/static/*", methods: [GET, HEAD], cluster: files }
  - { host: example.com, path: '~/v[0-9]+/reports/.*', cluster: files }

limits:
  body_bytes: 100MiB
timeouts:
  idle: 30s

access_log: { path: /var/log/kakehi/access.log, format: combined }

answers:
  404: "Nothing lives here.\\n"
  503: "Back in a minute.\\n"
`;

function main(args: string[]): number {
  const { errors } = loadState(EXAMPLE, "example.yaml");
  if (errors) {
    console.error(formatErrors(errors));
    return 1;
  }
  return writeOrCheck("CONFIGURATION.md", referenceText(EXAMPLE), "schema says", args);
}

Deno.exit(main(Deno.args));
