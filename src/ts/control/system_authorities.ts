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
  const { files, folders } = places();
  for (const place of files) {
    const text = readBundle(place);
    if (text !== "") return text;
  }
  const text = folders.map(readFolder).filter((text) => text !== "").join("\n");
  if (text !== "") return text;
  throw new Error(`none in ${[...files, ...folders].join(", ")}`);
}

/** A folder is looked into when no file has any. What somebody names is the only place. */
function places(): { files: string[]; folders: string[] } {
  const [file, folder] = [Deno.env.get("SSL_CERT_FILE"), Deno.env.get("SSL_CERT_DIR")];
  if (file || folder) return { files: file ? [file] : [], folders: folder ? folder.split(":") : [] };
  const own = authorityPlaces();
  return { files: [...new Set([own.file, ...BUNDLES])], folders: [own.folder] };
}

function readBundle(place: string): string {
  const stamp = fileStamp(place);
  if (stamp !== "" && place === last.place && stamp === last.stamp) return last.text;
  const text = readText(place);
  if (!text.includes(BEGIN)) return "";
  last = { place, stamp, text };
  return text;
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
