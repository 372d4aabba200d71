// The records of an auth server, kept by the host: a backend that works, to start one of your own from.
//
// records.js is what a store promises, in memory and without a clock: it can stay when the records move to a server
// that knows no revisions. kept.js is where they are now, one value of the host's kv, which every change writes whole:
// enough for hundreds of records and one host. Put your server in its place.

import { now, subscribeDuration } from 'wasi:clocks/monotonic-clock@0.2.0';
import { change, read } from './kept.js';

const VALUE_MAX = 1 << 20;

// How often a watch looks for changes, in nanoseconds.
const LOOK = 50_000_000;

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
    return change((records) => records.write(conditions, operations, time));
  },
};

export const watch = {
  current: () => read().revision,
  next(after, limit, wait) {
    const end = now() + wait * 1_000_000;
    for (;;) {
      const time = microseconds();
      const records = read();
      if (records.hasExpired(time)) {
        // Whoever watches is told of what expired as of any other change.
        change((records) => records.sweep(time));
        continue;
      }
      const batch = records.after(after, limit);
      if (batch.events.length > 0 || now() >= end) return batch;
      subscribeDuration(LOOK).block();
    }
  },
};
