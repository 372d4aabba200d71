"""Where the records are: one value of the host's `kv`, which instances share. They share no memory."""

from collections.abc import Callable
from typing import TypeVar

from componentize_py_types import Err
from wit_world.imports import kv, types

from records import Records, revision_of

KEY = "records"

T = TypeVar("T")


# What was read last in this instance, for a watch looks again and again, mostly at the same.
latest: tuple[int, int, Records] | None = None


def read() -> Records:
    """The records as they are now, not to be changed."""
    global latest
    kept = asked(lambda: kv.get(KEY))
    if kept is None:
        return Records()
    # No revision is given twice.
    same = (len(kept), decoded(revision_of, kept))
    if latest is None or latest[:2] != same:
        latest = (*same, decoded(Records.from_bytes, kept))
    return latest[2]


def change(work: Callable[[Records], T]) -> T:
    """Makes a change, as often as it takes for nobody else to have made one meanwhile. When this returns, it is on the
    host's disk.
    """
    while True:
        records, before = load()
        revision = records.revision
        answer = work(records)
        if records.revision == revision or asked(lambda: kv.swap(KEY, before, records.to_bytes())):
            return answer


def load() -> tuple[Records, bytes | None]:
    kept = asked(lambda: kv.get(KEY))
    return (Records(), None) if kept is None else (decoded(Records.from_bytes, kept), kept)


def decoded(work: Callable[[bytes], T], kept: bytes) -> T:
    try:
        return work(kept)
    except (ValueError, KeyError, TypeError) as error:
        raise Err(types.Failure_Corrupt(f"what the host kept are no records: {error}"))


def asked(work: Callable[[], T]) -> T:
    """A failure of the host's `kv` as one of a store."""
    try:
        return work()
    except Err as error:
        match error.value:
            case kv.Failure_Full(most):
                text = f"there is no room left: limits.kv_bytes of this plugin is {most}"
                raise Err(types.Failure_Unavailable(text))
            case kv.Failure_Denied(text):
                raise Err(types.Failure_Denied(text))
            case failure:
                raise Err(types.Failure_Unavailable(str(failure.value)))
