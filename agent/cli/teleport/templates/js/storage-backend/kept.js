// Where the records are: one value of the host's kv, which instances share. They share no memory.

import { get, swap } from 'teleport:host/kv@1.0.0';
import { fromBytes, revisionOf, toBytes } from './bytes.js';
import { Records } from './records.js';

const KEY = 'records';

// What was read last in this instance, for a watch looks again and again, mostly at the same.
let latest = { length: -1, revision: -1, records: undefined };

// The records as they are now, not to be changed.
export function read() {
  const bytes = asked(() => get(KEY));
  if (isNothing(bytes)) return new Records();
  const { length } = bytes;
  const revision = decoded(revisionOf, bytes);
  // No revision is given twice.
  if (latest.length !== length || latest.revision !== revision) {
    latest = { length, revision, records: decoded(fromBytes, bytes) };
  }
  return latest.records;
}

// Makes a change, as often as it takes for nobody else to have made one meanwhile. When this returns, it is on the
// host's disk.
export function change(work) {
  for (;;) {
    const [records, before] = load();
    const revision = records.revision;
    const answer = work(records);
    if (records.revision === revision) return answer;
    if (asked(() => swap(KEY, before, toBytes(records)))) return answer;
  }
}

function load() {
  const bytes = asked(() => get(KEY));
  return isNothing(bytes) ? [new Records(), undefined] : [decoded(fromBytes, bytes), bytes];
}

const isNothing = (bytes) => bytes === undefined || bytes === null;

function decoded(work, bytes) {
  try {
    return work(bytes);
  } catch (error) {
    throw { tag: 'corrupt', val: `what the host kept are no records: ${error.message}` };
  }
}

// A failure of the host's kv as one of a store.
function asked(work) {
  try {
    return work();
  } catch (error) {
    const { tag, val } = error.payload ?? error;
    switch (tag) {
      case 'full':
        throw { tag: 'unavailable', val: `there is no room left: limits.kv_bytes of this plugin is ${val}` };
      case 'denied':
        throw { tag: 'denied', val };
      default:
        throw { tag: 'unavailable', val: String(val ?? error.message) };
    }
  }
}
