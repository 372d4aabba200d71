"""The records of an auth server, kept by the host: a backend that works, to start one of your own from.

`records` is what a store promises, in memory and without a clock: it can stay when the records move to a server that
knows no revisions. `kept` is where they are now, one value of the host's `kv`, which every change writes whole: enough
for hundreds of records and one host. Put your server in its place.
"""

import time

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import open as opening
from wit_world.exports import records as reading
from wit_world.exports import watch as watching
from wit_world.imports import types

import kept
from records import Compacted, Conflict, Item

VALUE_MAX = 1 << 20

# How often a watch looks for changes, in seconds.
LOOK = 0.1


def now() -> int:
    return time.time_ns() // 1000


def told(item: Item) -> types.Item:
    return types.Item(item.key, item.value, item.revision, item.expires)


def condition(asked) -> tuple:
    match asked:
        case reading.Condition_Absent(key):
            return ("absent", key)
        case reading.Condition_Present(key):
            return ("present", key)
        case reading.Condition_Unchanged((key, revision)):
            return ("unchanged", key, revision)


def operation(asked) -> tuple:
    match asked:
        case reading.Operation_Put(entry):
            return ("put", entry.key, bytes(entry.value), entry.expires)
        case reading.Operation_Delete(key):
            return ("delete", key)
        case reading.Operation_DeleteRange(prefix):
            return ("delete-range", prefix)


class Open(exports.Open):
    def open(self) -> opening.About:
        description = f"records kept by the host, at revision {kept.read().revision}"
        return opening.About(description, VALUE_MAX)


class Records(exports.Records):
    def get(self, key: str) -> types.Item | None:
        found = kept.read().get(key, now())
        return told(found) if found else None

    def range(self, prefix: str, start: str | None, limit: int) -> reading.Page:
        records = kept.read()
        items, more = records.range(prefix, start, limit, now())
        return reading.Page([told(item) for item in items], more, records.revision)

    def write(self, conditions, operations) -> int:
        conditions = [condition(asked) for asked in conditions]
        operations = [operation(asked) for asked in operations]
        moment = now()
        try:
            return kept.change(lambda records: records.write(conditions, operations, moment))
        except Conflict as broken:
            raise Err(types.Failure_Conflict(broken.condition))


class Watch(exports.Watch):
    def current(self) -> int:
        return kept.read().revision

    def next(self, after: int, limit: int, wait: int) -> watching.Batch:
        end = time.monotonic() + wait / 1000
        while True:
            moment, records = now(), kept.read()
            if records.has_expired(moment):
                # Whoever watches is told of what expired as of any other change.
                kept.change(lambda records: records.sweep(moment))
                continue
            try:
                changes, up_to = records.after(after, limit)
            except Compacted as compacted:
                raise Err(types.Failure_Compacted(compacted.oldest))
            if changes or time.monotonic() >= end:
                return watching.Batch([event(change) for change in changes], up_to)
            time.sleep(LOOK)


def event(change) -> watching.Event:
    if change.item:
        return watching.Event(change.revision, watching.Change_Put(told(change.item)))
    return watching.Event(change.revision, watching.Change_Delete(change.key))
