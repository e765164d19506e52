// Session tickets (RFC 5077, RFC 8446 §4.6.1) that every worker can read: the keys come from main, the first one encrypts,
// all decrypt. A ticket of an older key is taken, and a new one given.
//
// A key is 80 bytes: its name 16, the key of the MAC 32, the key of the cipher 32.

import { addressOf } from "../sys/fds.ts";
import * as openssl from "../sys/openssl.ts";

const NAME_BYTES = 16;
const KEY_BYTES = 80;
const IV_BYTES = 16;
const OSSL_PARAM_UTF8_STRING = 4;
const OSSL_PARAM_OCTET_STRING = 5;
/** struct ossl_param_st: name, type, data, its size, and what was returned. */
const PARAM_BYTES = 40;

// what the callback answers
const FAILED = -1;
const UNKNOWN_KEY = 0;
const USED = 1;
const RENEW = 2;

const TICKET_CALLBACK = {
  parameters: ["pointer", "pointer", "pointer", "pointer", "pointer", "i32"],
  result: "i32",
} as const;

interface TicketKey {
  /** All of it. */
  bytes: Uint8Array<ArrayBuffer>;
  name: Uint8Array<ArrayBuffer>;
  cipherKey: Uint8Array<ArrayBuffer>;
  /** For EVP_MAC_CTX_set_params; points into the buffers beside it. */
  macParams: Uint8Array<ArrayBuffer>;
  macKey: Uint8Array<ArrayBuffer>;
}

const DIGEST_NAME = new TextEncoder().encode("digest\0");
const DIGEST = new TextEncoder().encode("SHA256\0");
const KEY_NAME = new TextEncoder().encode("key\0");

function macParams(key: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const params = new Uint8Array(3 * PARAM_BYTES);
  const view = new DataView(params.buffer);
  const put = (
    at: number,
    name: Uint8Array<ArrayBuffer>,
    type: number,
    data: Uint8Array<ArrayBuffer>,
    size: number,
  ) => {
    view.setBigUint64(at, addressOf(name), true);
    view.setUint32(at + 8, type, true);
    view.setBigUint64(at + 16, addressOf(data), true);
    view.setBigUint64(at + 24, BigInt(size), true);
  };
  put(0, KEY_NAME, OSSL_PARAM_OCTET_STRING, key, key.length);
  put(PARAM_BYTES, DIGEST_NAME, OSSL_PARAM_UTF8_STRING, DIGEST, DIGEST.length - 1);
  return params;
}

/** `text`: 80 bytes in base64. */
function parseKey(text: string): TicketKey {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  if (bytes.length !== KEY_BYTES) throw new Error(`a ticket key has ${bytes.length} bytes instead of ${KEY_BYTES}`);
  return keyOf(bytes);
}

function keyOf(bytes: Uint8Array<ArrayBuffer>): TicketKey {
  const macKey = bytes.slice(NAME_BYTES, NAME_BYTES + 32);
  return {
    bytes,
    name: bytes.slice(0, NAME_BYTES),
    macKey,
    cipherKey: bytes.slice(NAME_BYTES + 32),
    macParams: macParams(macKey),
  };
}

export class TicketKeys {
  readonly #lib: openssl.OpenSsl;
  readonly #cipher: Deno.PointerValue;
  /** Called by OpenSSL inside a handshake. */
  readonly callback: Deno.UnsafeCallback<typeof TICKET_CALLBACK>;
  #keys: TicketKey[];
  /** Another one after each change. */
  version = 0;

  constructor() {
    this.#lib = openssl.openssl();
    // until main has said which, tickets are for this process alone
    this.#keys = [keyOf(crypto.getRandomValues(new Uint8Array(KEY_BYTES)))];
    // fetched once: by its old name it would be looked up for each ticket
    this.#cipher = this.#lib.EVP_CIPHER_fetch(null, new TextEncoder().encode("AES-256-CBC\0"), null);
    this.callback = new Deno.UnsafeCallback(
      TICKET_CALLBACK,
      (_ssl, name, iv, cipher, mac, encrypts) => {
        try {
          return encrypts === 1 ? this.#encrypt(name!, iv!, cipher, mac) : this.#decrypt(name!, iv, cipher, mac);
        } catch {
          return FAILED;
        }
      },
    );
  }

  get count(): number {
    return this.#keys.length;
  }

  /** Takes the place of all keys before; none is not taken for an answer. */
  replace(keys: readonly string[]): void {
    if (keys.length === 0) return;
    this.#keys = keys.map(parseKey);
    this.version++;
  }

  /** Gives a context the first key, which OpenSSL then uses by itself wherever the callback is not set. */
  give(context: Deno.PointerObject): void {
    this.#lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_TLSEXT_TICKET_KEYS, BigInt(KEY_BYTES), this.#keys[0]!.bytes);
  }

  /** Sets the callback of a context, or takes it away. */
  ask(context: Deno.PointerObject, asked: boolean): void {
    this.#lib.SSL_CTX_set_tlsext_ticket_key_evp_cb(context, asked ? this.callback.pointer : null);
  }

  #encrypt(
    name: Deno.PointerObject,
    iv: Deno.PointerObject,
    cipher: Deno.PointerValue,
    mac: Deno.PointerValue,
  ): number {
    const lib = this.#lib;
    const key = this.#keys[0];
    if (!key || lib.RAND_bytes(iv, IV_BYTES) !== 1) return FAILED;
    lib.memcpy(name, key.name, BigInt(NAME_BYTES));
    if (lib.EVP_EncryptInit_ex(cipher, this.#cipher, null, key.cipherKey, iv) !== 1) return FAILED;
    return lib.EVP_MAC_CTX_set_params(mac, key.macParams) === 1 ? USED : FAILED;
  }

  #decrypt(
    name: Deno.PointerObject,
    iv: Deno.PointerValue,
    cipher: Deno.PointerValue,
    mac: Deno.PointerValue,
  ): number {
    const lib = this.#lib;
    const wanted = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(name, NAME_BYTES));
    const index = this.#keys.findIndex((key) => key.name.every((byte, i) => byte === wanted[i]));
    const key = this.#keys[index];
    if (!key) return UNKNOWN_KEY;
    if (lib.EVP_MAC_CTX_set_params(mac, key.macParams) !== 1) return FAILED;
    if (lib.EVP_DecryptInit_ex(cipher, this.#cipher, null, key.cipherKey, iv) !== 1) return FAILED;
    return index === 0 ? USED : RENEW;
  }
}
