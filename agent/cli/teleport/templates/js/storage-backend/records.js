// What a store promises, without a place and without a clock: conditions and operations in, revisions and changes
// out. Tested by `npm test`, as it knows nothing of the host. Revisions and microseconds are numbers, exact up to 2^53.

// The most changes that are remembered for whoever watches, and the most bytes of theirs. They are read and written
// with every change of the records, so they are few.
export const CHANGES_MAX = 2_000;
const CHANGED_BYTES_MAX = 4 << 20;

// The most bytes of values in one answer.
const ANSWER_MAX = 4 << 20;

const isThere = (kept, now) => kept !== undefined && (kept.expires === undefined || now < kept.expires);

const item = (key, { value, revision, expires }) => ({ key, value, revision, expires });

const bytesOf = ({ key, kept }) => key.length + (kept?.value.length ?? 0);

// All records, and the changes that made the last of them.
export class Records {
  revision = 0;
  // Changes up to this revision are no longer known.
  forgotten = 0;
  // By key: value, revision, and when it expires if it does.
  items = new Map();
  // Revision, key, and what it was set to if it was not removed.
  changes = [];

  // One item.
  get(key, now) {
    const kept = this.items.get(key);
    return isThere(kept, now) ? item(key, kept) : undefined;
  }

  // Items below a prefix, in the order of their keys.
  range(prefix, start, limit, now) {
    const keys = this.#below(prefix).filter((key) => start === undefined || start === null || inOrder(start, key) <= 0);
    const items = [];
    let bytes = 0;
    let more = false;
    for (const key of keys.sort(inOrder)) {
      const kept = this.items.get(key);
      if (!isThere(kept, now)) continue;
      // One item is given, however large: a page without items ends a list.
      more = items.length >= limit || (bytes + kept.value.length > ANSWER_MAX && items.length > 0);
      if (more) break;
      bytes += kept.value.length;
      items.push(item(key, kept));
    }
    return { items, more, revision: this.revision };
  }

  // Does all operations if all conditions hold.
  write(conditions, operations, now) {
    this.sweep(now);
    const broken = conditions.findIndex((condition) => !this.#holds(condition));
    if (broken >= 0) throw { tag: 'conflict', val: broken };
    // Also when nothing changes: a revision is never given twice.
    this.revision += 1;
    for (const { tag, val } of operations) {
      switch (tag) {
        case 'put':
          this.#set(val.key, { value: val.value, revision: this.revision, expires: val.expires ?? undefined });
          break;
        case 'delete':
          this.#set(val);
          break;
        case 'delete-range':
          this.#below(val).sort(inOrder).forEach((key) => this.#set(key));
          break;
      }
    }
    this.#forget();
    return this.revision;
  }

  // Whether anything is past its end and not yet removed.
  hasExpired(now) {
    return [...this.items.values()].some((kept) => !isThere(kept, now));
  }

  // Removes what is past its end, in a revision of its own.
  sweep(now) {
    const gone = [...this.items.keys()].filter((key) => !isThere(this.items.get(key), now));
    if (gone.length === 0) return;
    this.revision += 1;
    gone.sort(inOrder).forEach((key) => this.#set(key));
  }

  // The changes after a revision, in their order; no revision is told half.
  after(after, limit) {
    if (after < this.forgotten || after > this.revision) throw { tag: 'compacted', val: this.forgotten };
    const events = [];
    let bytes = 0;
    for (const changed of this.changes.filter(({ revision }) => revision > after)) {
      const last = events.at(-1)?.revision ?? changed.revision;
      if (changed.revision !== last && (events.length >= limit || bytes > ANSWER_MAX)) {
        return { events, upTo: last };
      }
      bytes += bytesOf(changed);
      const { revision, key, kept } = changed;
      const change = kept ? { tag: 'put', val: item(key, kept) } : { tag: 'delete', val: key };
      events.push({ revision, change });
    }
    return { events, upTo: this.revision };
  }

  #below(prefix) {
    return [...this.items.keys()].filter((key) => key.startsWith(prefix));
  }

  #holds({ tag, val }) {
    switch (tag) {
      case 'absent':
        return !this.items.has(val);
      case 'present':
        return this.items.has(val);
      default:
        return this.items.get(val[0])?.revision === val[1];
    }
  }

  #set(key, kept) {
    // What was not there is not removed, and nobody is told.
    if (kept === undefined && !this.items.delete(key)) return;
    if (kept !== undefined) this.items.set(key, kept);
    this.changes.push({ revision: this.revision, key, kept });
  }

  // Lets go of the oldest revisions, whole.
  #forget() {
    let bytes = this.changes.reduce((sum, changed) => sum + bytesOf(changed), 0);
    let gone = 0;
    while (this.changes.length - gone > CHANGES_MAX || bytes > CHANGED_BYTES_MAX) {
      this.forgotten = this.changes[gone].revision;
      while (this.changes[gone]?.revision === this.forgotten) bytes -= bytesOf(this.changes[gone++]);
    }
    this.changes.splice(0, gone);
  }
}

// The order of the bytes of keys, which is that of their characters; JavaScript compares halves of them.
function inOrder(left, right) {
  if (left === right) return 0;
  let at = 0;
  while (at < left.length && at < right.length && left[at] === right[at]) at++;
  // In the second half of a character the first halves are the same.
  const [one, other] = [left, right].map((key) => key.codePointAt(at) ?? -1);
  return one - other;
}
