// A map that never changes: what is added or removed gives another map, which shares with the first all but the parts
// that were touched. The keys are spread over a fixed number of ordinary maps; a change copies the list of them, and
// those in which something changes. With 100,000 entries that is a hundred entries for each change, some microseconds,
// where a copy of the whole would take tens of milliseconds; and unlike a map that is changed in place, the older one
// goes on to be right, which a refused change needs.

const SHARDS = 1024;

type Shard<V> = ReadonlyMap<string, V> | undefined;

export class SharedMap<V> {
  private constructor(private readonly shards: readonly Shard<V>[]) {}

  static from<V>(entries: Iterable<readonly [string, V]>): SharedMap<V> {
    return new SharedMap<V>(new Array<Shard<V>>(SHARDS).fill(undefined)).with(entries);
  }

  get(key: string): V | undefined {
    return this.shards[shardOf(key)]?.get(key);
  }

  /** This map with other values; `undefined` removes. O(changes × size / 1024). */
  with(changes: Iterable<readonly [string, V | undefined]>): SharedMap<V> {
    const shards = [...this.shards];
    const own = new Map<number, Map<string, V>>();
    for (const [key, value] of changes) {
      const at = shardOf(key);
      let shard = own.get(at);
      if (!shard) own.set(at, shards[at] = shard = new Map(shards[at]));
      if (value === undefined) shard.delete(key);
      else shard.set(key, value);
    }
    return new SharedMap(shards);
  }
}

/** FNV-1a of the characters. */
function shardOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 16)) & (SHARDS - 1);
}
