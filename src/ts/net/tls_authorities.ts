// Stores of authorities' certificates. Those that a system trusts are well over a hundred, and hundreds of clusters may trust
// them: clusters of the same text share one store. OpenSSL's contexts hold references of their own to it.

import * as openssl from "../sys/openssl.ts";

interface Store {
  pointer: Deno.PointerObject;
  users: number;
}

export class Authorities {
  readonly #stores = new Map<string, Store>();

  constructor(private readonly lib: openssl.OpenSsl) {}

  /** Throws when there is no certificate in the text. Each call is followed by one of leave(). */
  enter(pem: string): Deno.PointerObject {
    let store = this.#stores.get(pem);
    if (!store) this.#stores.set(pem, store = { pointer: this.#make(pem), users: 0 });
    store.users++;
    return store.pointer;
  }

  leave(pem: string): void {
    const store = this.#stores.get(pem);
    if (!store || --store.users > 0) return;
    this.#stores.delete(pem);
    this.lib.X509_STORE_free(store.pointer);
  }

  #make(pem: string): Deno.PointerObject {
    const { lib } = this;
    const authorities = openssl.readCertificates(lib, pem);
    if (authorities.length === 0) throw new Error("ca: there is no certificate in it");
    const store = lib.X509_STORE_new()!;
    for (const authority of authorities) {
      lib.X509_STORE_add_cert(store, authority);
      lib.X509_free(authority);
    }
    lib.X509_STORE_set_flags(store, openssl.X509_V_FLAG_PARTIAL_CHAIN);
    lib.ERR_clear_error(); // one that is there twice may count as an error
    return store;
  }
}
