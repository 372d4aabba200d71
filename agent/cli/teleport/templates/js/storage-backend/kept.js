// Where the records are: one value of the host's kv, which instances share. They share no memory.

import { get, swap } from 'teleport:host/kv@1.0.0';
import { fromBytes, toBytes } from './bytes.js';
import { Records } from './records.js';

const KEY = 'records';

// The records as they are now.
export function read() {
  return load()[0];
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
  if (bytes === undefined || bytes === null) return [new Records(), undefined];
  try {
    return [fromBytes(bytes), bytes];
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
        throw { tag: 'too-large', val: `the host keeps at most ${val} bytes` };
      case 'denied':
        throw { tag: 'denied', val };
      default:
        throw { tag: 'unavailable', val: String(val ?? error.message) };
    }
  }
}
