"""What a store promises, without a place and without a clock: conditions and operations in, revisions and changes
out. Tested by `unittest`, as it knows nothing of the host.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass

# The most changes that are remembered for whoever watches, and the most bytes of theirs. They are read and written with
# every change of the records, so they are few.
CHANGES_MAX = 2_000
CHANGED_BYTES_MAX = 4 << 20

# The most bytes of values in one answer.
ANSWER_MAX = 4 << 20


class Conflict(Exception):
    """This condition, counted from zero, is the first that did not hold."""

    def __init__(self, condition: int):
        super().__init__(condition)
        self.condition = condition


class Compacted(Exception):
    """Changes so old are no longer known, or are still to come."""

    def __init__(self, oldest: int):
        super().__init__(oldest)
        self.oldest = oldest


@dataclass(frozen=True)
class Item:
    key: str
    value: bytes
    revision: int
    # In microseconds since 1970.
    expires: int | None

    def is_there(self, now: int) -> bool:
        return self.expires is None or now < self.expires


@dataclass(frozen=True)
class Change:
    """A key that was set, or removed."""

    revision: int
    key: str
    item: Item | None

    def bytes(self) -> int:
        return len(self.key) + (len(self.item.value) if self.item else 0)


class Records:
    """All records, and the changes that made the last of them."""

    def __init__(self):
        self.revision = 0
        # Changes up to this revision are no longer known.
        self.forgotten = 0
        self.items: dict[str, Item] = {}
        self.changes: list[Change] = []

    def get(self, key: str, now: int) -> Item | None:
        item = self.items.get(key)
        return item if item and item.is_there(now) else None

    def range(self, prefix: str, start: str | None, limit: int, now: int) -> tuple[list[Item], bool]:
        """Items below a prefix, in the order of their keys, and whether there are more."""
        there = [item for item in self._below(prefix) if item.is_there(now) and item.key >= (start or "")]
        items, size = [], 0
        for item in there:
            # One item is given, however large: a page without items ends a list.
            if len(items) >= limit or (items and size + len(item.value) > ANSWER_MAX):
                return items, True
            size += len(item.value)
            items.append(item)
        return items, False

    def write(self, conditions: list[tuple], operations: list[tuple], now: int) -> int:
        """Does all operations if all conditions hold."""
        self.sweep(now)
        for number, condition in enumerate(conditions):
            if not self._holds(condition):
                raise Conflict(number)
        # Also when nothing changes: a revision is never given twice.
        self.revision += 1
        for operation in operations:
            match operation:
                case ("put", key, value, expires):
                    self._set(key, Item(key, value, self.revision, expires))
                case ("delete", key):
                    self._set(key, None)
                case ("delete-range", prefix):
                    for item in self._below(prefix):
                        self._set(item.key, None)
        self._forget()
        return self.revision

    def has_expired(self, now: int) -> bool:
        """Whether anything is past its end and not yet removed."""
        return any(not item.is_there(now) for item in self.items.values())

    def sweep(self, now: int) -> None:
        """Removes what is past its end, in a revision of its own."""
        gone = sorted(key for key, item in self.items.items() if not item.is_there(now))
        if gone:
            self.revision += 1
        for key in gone:
            self._set(key, None)

    def after(self, after: int, limit: int) -> tuple[list[Change], int]:
        """The changes after a revision, in their order, and up to which one; no revision is told half."""
        if not self.forgotten <= after <= self.revision:
            raise Compacted(self.forgotten)
        told, size = [], 0
        for change in self.changes:
            if change.revision <= after:
                continue
            last = told[-1].revision if told else change.revision
            if change.revision != last and (len(told) >= limit or size > ANSWER_MAX):
                return told, last
            size += change.bytes()
            told.append(change)
        return told, self.revision

    def to_bytes(self) -> bytes:
        items = [_written(item.key, item) for item in self.items.values()]
        changes = [[change.revision, *_written(change.key, change.item)] for change in self.changes]
        index = json.dumps([self.forgotten, items, changes])
        return f"{self.revision}\n{index}".encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> "Records":
        records = cls()
        records.revision = revision_of(kept)
        records.forgotten, items, changes = json.loads(kept[kept.index(b"\n") :].decode())
        records.items = {key: _read(key, *rest) for key, *rest in items}
        records.changes = [Change(revision, key, _read(key, *rest)) for revision, key, *rest in changes]
        return records

    def _below(self, prefix: str) -> list[Item]:
        """In the order of their keys, which is that of the keys' bytes."""
        below = [item for item in self.items.values() if item.key.startswith(prefix)]
        return sorted(below, key=lambda item: item.key)

    def _holds(self, condition: tuple) -> bool:
        match condition:
            case ("absent", key):
                return key not in self.items
            case ("present", key):
                return key in self.items
            case ("unchanged", key, revision):
                return key in self.items and self.items[key].revision == revision
        raise ValueError(condition)

    def _set(self, key: str, item: Item | None) -> None:
        before = self.items.pop(key, None)
        if item:
            self.items[key] = item
        # What was not there is not removed, and nobody is told.
        if item or before:
            self.changes.append(Change(self.revision, key, item))

    def _forget(self) -> None:
        """Lets go of the oldest revisions, whole."""
        size, gone = sum(change.bytes() for change in self.changes), 0
        while len(self.changes) - gone > CHANGES_MAX or size > CHANGED_BYTES_MAX:
            self.forgotten = self.changes[gone].revision
            while gone < len(self.changes) and self.changes[gone].revision == self.forgotten:
                size -= self.changes[gone].bytes()
                gone += 1
        del self.changes[:gone]


def revision_of(kept: bytes) -> int:
    """The last write's, without a look at the records."""
    return int(kept[: kept.index(b"\n")])


def _written(key: str, item: Item | None) -> list:
    return [key, b64encode(item.value).decode(), item.revision, item.expires] if item else [key]


def _read(key: str, value: str | None = None, revision: int = 0, expires: int | None = None) -> Item | None:
    return None if value is None else Item(key, b64decode(value), revision, expires)
