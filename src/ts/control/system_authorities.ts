// The certificates of authorities that the system trusts, for clusters that name none. Workers cannot read files, so main
// reads them: where OpenSSL looks (SSL_CERT_FILE and SSL_CERT_DIR are heeded), and otherwise where distributions keep a bundle,
// since a library that the binary carries looks where the distribution of its build does.

import { authorityPlaces } from "../sys/x509.ts";
import { fileStamp } from "./material.ts";

/** Debian, Alpine and Arch; Fedora; openSUSE; BSD and macOS. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
/** How OpenSSL names the files of a folder: a hash of the subject, and a number. */
const HASHED = /^[0-9a-f]{8}\.\d+$/;
const BYTES_MAX = 4 * 1024 * 1024;
const BEGIN = "-----BEGIN CERTIFICATE-----";

let last = { place: "", stamp: "", text: "" };

/** In PEM; read again only when the file has changed. Throws when there are none, and says where they were looked for. */
export function systemAuthorities(): string {
  const files = bundles();
  for (const place of files) {
    const stamp = fileStamp(place);
    if (stamp !== "" && place === last.place && stamp === last.stamp) return last.text;
    const text = readText(place);
    if (!text.includes(BEGIN)) continue;
    last = { place, stamp, text };
    return text;
  }
  const folder = folderOfHashes();
  const text = readFolder(folder);
  if (text !== "") return text;
  throw new Error(`none in ${[...files, folder].join(", ")}`);
}

/** A file or folder that somebody names is the only one. */
function bundles(): string[] {
  const named = Deno.env.get("SSL_CERT_FILE");
  if (named) return [named];
  return Deno.env.get("SSL_CERT_DIR") ? [] : [...new Set([authorityPlaces().file, ...BUNDLES])];
}

function folderOfHashes(): string {
  return Deno.env.get("SSL_CERT_DIR") || authorityPlaces().folder;
}

function readFolder(folder: string): string {
  try {
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => HASHED.test(name)).sort();
    return names.map((name) => readText(`${folder}/${name}`)).filter((text) => text.includes(BEGIN)).join("\n");
  } catch {
    return "";
  }
}

function readText(path: string): string {
  try {
    return Deno.statSync(path).size <= BYTES_MAX ? Deno.readTextFileSync(path) : "";
  } catch {
    return "";
  }
}
