// The rules in force by their ids. In pages, so that neither a high id nor one more rule has an array of all of them copied.

import type { RouteRule } from "./rule.ts";

const PAGE_BITS = 10;
const PAGE_MASK = (1 << PAGE_BITS) - 1;

export class RuleList {
  private readonly pages = new Map<number, (RouteRule | null)[]>();
  /** Number of rules. */
  count = 0;

  get(id: number): RouteRule | null {
    return this.pages.get(id >> PAGE_BITS)?.[id & PAGE_MASK] ?? null;
  }

  set(id: number, rule: RouteRule | null): void {
    let page = this.pages.get(id >> PAGE_BITS);
    if (!page) {
      if (!rule) return;
      this.pages.set(id >> PAGE_BITS, page = new Array(PAGE_MASK + 1).fill(null));
    }
    this.count += (rule ? 1 : 0) - (page[id & PAGE_MASK] ? 1 : 0);
    page[id & PAGE_MASK] = rule;
  }

  get bytesUsed(): number {
    return this.pages.size * (PAGE_MASK + 1) * 8;
  }
}
