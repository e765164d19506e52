// The keys of session tickets, as OpenSSL asks for them: which part of a key is what, byte by byte against node's cryptography,
// and which key a ticket is read with.

import { createDecipheriv, createHmac } from "node:crypto";
import { TicketKeys } from "../../../src/ts/net/tls_tickets.ts";
import { addressOf } from "../../../src/ts/sys/fds.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";
import { requireTools } from "../../support/require_tool.ts";

/** Where there is the command, there is the library. */
const ignore = requireTools("openssl");
const P = "pointer";
const CALLBACK = { parameters: [P, P, P, P, P, "i32"], result: "i32" } as const;

const LIBRARY = {
  EVP_CIPHER_CTX_new: { parameters: [], result: P },
  EVP_CIPHER_CTX_free: { parameters: [P], result: "void" },
  EVP_EncryptUpdate: { parameters: [P, "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_DecryptUpdate: { parameters: [P, "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_MAC_fetch: { parameters: [P, "buffer", P], result: P },
  EVP_MAC_free: { parameters: [P], result: "void" },
  EVP_MAC_CTX_new: { parameters: [P], result: P },
  EVP_MAC_CTX_free: { parameters: [P], result: "void" },
  EVP_MAC_init: { parameters: [P, P, "usize", P], result: "i32" },
  EVP_MAC_update: { parameters: [P, "buffer", "usize"], result: "i32" },
  EVP_MAC_final: { parameters: [P, "buffer", "buffer", "usize"], result: "i32" },
} as const;

/** Bytes that tell where they stand. */
const KEY = Uint8Array.from({ length: 80 }, (_, at) => at);
const OTHER = Uint8Array.from({ length: 80 }, (_, at) => 255 - at);
const THIRD = Uint8Array.from({ length: 80 }, (_, at) => at ^ 0x5a);
const NAME = KEY.slice(0, 16);
const MAC_KEY = KEY.slice(16, 48);
const CIPHER_KEY = KEY.slice(48);
const PLAIN = new TextEncoder().encode("32 bytes of a session, in blocks");

const pointer = (bytes: Uint8Array<ArrayBuffer>) => Deno.UnsafePointer.create(addressOf(bytes));

/** What OpenSSL hands to the callback. */
class Ticket implements Disposable {
  readonly #library = Deno.dlopen("libcrypto.so.3", LIBRARY);
  readonly lib = this.#library.symbols;
  readonly name = new Uint8Array(16);
  readonly iv = new Uint8Array(16);
  readonly cipher = this.lib.EVP_CIPHER_CTX_new();
  readonly #hmac = this.lib.EVP_MAC_fetch(null, new TextEncoder().encode("HMAC\0"), null);
  readonly mac = this.lib.EVP_MAC_CTX_new(this.#hmac);

  ask(keys: TicketKeys, encrypts: 0 | 1): number {
    const call = new Deno.UnsafeFnPointer(keys.callback.pointer, CALLBACK);
    return call.call(null, pointer(this.name), pointer(this.iv), this.cipher, this.mac, encrypts);
  }

  encrypt(plain: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(64);
    const length = new Int32Array(1);
    this.lib.EVP_EncryptUpdate(this.cipher, out, new Uint8Array(length.buffer), plain, plain.length);
    return out.slice(0, length[0]);
  }

  sign(bytes: Uint8Array<ArrayBuffer>): string {
    const out = new Uint8Array(32);
    this.lib.EVP_MAC_init(this.mac, null, 0n, null);
    this.lib.EVP_MAC_update(this.mac, bytes, BigInt(bytes.length));
    this.lib.EVP_MAC_final(this.mac, out, new Uint8Array(8), 32n);
    return out.toHex();
  }

  [Symbol.dispose](): void {
    this.lib.EVP_CIPHER_CTX_free(this.cipher);
    this.lib.EVP_MAC_CTX_free(this.mac);
    this.lib.EVP_MAC_free(this.#hmac);
    this.#library.close();
  }
}

Deno.test({
  name: "a ticket has the name of the first key, and is encrypted and signed with its other parts",
  ignore,
  fn() {
    const keys = new TicketKeys();
    keys.replace([KEY.toBase64(), OTHER.toBase64()]);
    using ticket = new Ticket();
    assertEquals(ticket.ask(keys, 1), 1);
    assertEquals(ticket.name, NAME);
    assertEquals(ticket.iv.some((byte) => byte !== 0), true, "the vector is random");
    const decipher = createDecipheriv("aes-256-cbc", CIPHER_KEY, ticket.iv).setAutoPadding(false);
    assertEquals(new Uint8Array(decipher.update(ticket.encrypt(PLAIN))), PLAIN);
    assertEquals(ticket.sign(PLAIN), createHmac("sha256", MAC_KEY).update(PLAIN).digest("hex"));
    using next = new Ticket();
    next.ask(keys, 1);
    assertEquals(next.iv.toHex() === ticket.iv.toHex(), false, "another vector each time");
  },
});

Deno.test({
  name:
    "a ticket is read with the key of its name: of the first as it is, of another to be renewed, of none not at all",
  ignore,
  fn() {
    const keys = new TicketKeys();
    const read = (name: Uint8Array) => {
      using ticket = new Ticket();
      ticket.name.set(name.subarray(0, 16));
      const answer = ticket.ask(keys, 0);
      return [answer, answer > 0 ? ticket.sign(PLAIN) : ""];
    };
    const signed = (key: Uint8Array) => createHmac("sha256", key.slice(16, 48)).update(PLAIN).digest("hex");
    assertEquals(read(KEY), [0, ""], "keys of its own, until it is told some");
    keys.replace([KEY.toBase64()]);
    assertEquals(read(KEY), [1, signed(KEY)]);
    keys.replace([OTHER.toBase64(), KEY.toBase64()]);
    assertEquals([read(OTHER), read(KEY)], [[1, signed(OTHER)], [2, signed(KEY)]]);
    keys.replace([THIRD.toBase64(), OTHER.toBase64()]);
    assertEquals([read(KEY), read(OTHER)], [[0, ""], [2, signed(OTHER)]], "the oldest one is gone");
    keys.replace([]);
    assertEquals([keys.count, read(THIRD)[0]], [2, 1], "no keys are no answer");
    assertThrows(() => keys.replace([KEY.slice(1).toBase64()]), /a ticket key has 79 bytes instead of 80/);
    assertEquals([keys.count, read(THIRD)[0]], [2, 1], "and neither is a wrong one");
  },
});
