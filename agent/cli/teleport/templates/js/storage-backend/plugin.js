// The records of an auth server, kept by the host: a backend that works, to start one of your own from.
//
// records.js is what a store promises, in memory and without a clock: it can stay when the records move to a server
// that knows no revisions. kept.js is where they are now, one value of the host's kv, which every change writes whole:
// enough for hundreds of records and one host. Put your server in its place.

import { now, subscribeDuration } from 'wasi:clocks/monotonic-clock@0.2.0';
import { change, read } from './kept.js';

const VALUE_MAX = 1 << 20;

// How often a watch looks for changes, in nanoseconds.
const LOOK = 100_000_000;

// One engine gives numbers of 64 bits as numbers, the other as BigInt.
const number = (value) => (value === undefined || value === null ? undefined : Number(value));

const microseconds = () => Date.now() * 1000;

export const open = {
  open: () => ({
    description: `records kept by the host, at revision ${read().revision}`,
    valueMax: VALUE_MAX,
  }),
};

export const records = {
  get: (key) => read().get(key, microseconds()),
  range: (prefix, start, limit) => read().range(prefix, start, limit, microseconds()),
  write: (conditions, operations) => {
    const time = microseconds();
    const held = conditions.map(({ tag, val }) =>
      tag === 'unchanged' ? { tag, val: [val[0], Number(val[1])] } : { tag, val });
    const done = operations.map(({ tag, val }) =>
      tag === 'put' ? { tag, val: { ...val, expires: number(val.expires) } } : { tag, val });
    return change((records) => records.write(held, done, time));
  },
};

export const watch = {
  current: () => read().revision,
  next(from, limit, wait) {
    const after = Number(from);
    const end = Number(now()) + wait * 1_000_000;
    for (;;) {
      const time = microseconds();
      const records = read();
      if (records.hasExpired(time)) {
        // Whoever watches is told of what expired as of any other change.
        change((records) => records.sweep(time));
        continue;
      }
      const batch = records.after(after, limit);
      if (batch.events.length > 0 || Number(now()) >= end) return batch;
      subscribeDuration(LOOK).block();
    }
  },
};
