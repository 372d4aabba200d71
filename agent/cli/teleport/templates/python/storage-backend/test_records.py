import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from records import CHANGES_MAX, Compacted, Conflict, Records, revision_of


def put(key: str, text: str, expires: int | None = None) -> tuple:
    return ("put", key, text.encode(), expires)


def told(records: Records, after: int) -> list[str]:
    changes, _ = records.after(after, 100)
    return [f"{change.revision} {'+' if change.item else '-'}{change.key}" for change in changes]


class Promises(unittest.TestCase):
    def setUp(self):
        self.records = Records()

    def test_a_broken_condition_changes_nothing(self):
        self.records.write([], [put("/a", "1")], 0)
        with self.assertRaises(Conflict) as refused:
            self.records.write([("present", "/a"), ("absent", "/a")], [put("/b", "1")], 0)
        self.assertEqual(refused.exception.condition, 1)
        self.assertEqual((self.records.get("/b", 0), self.records.revision), (None, 1))

    def test_what_expires_is_gone_at_once_and_told(self):
        self.records.write([], [put("/a", "1", 5), put("/b", "1")], 0)
        self.assertIsNotNone(self.records.get("/a", 4))
        self.assertIsNone(self.records.get("/a", 5))
        self.assertEqual(len(self.records.range("/", None, 9, 5)[0]), 1)
        self.records.write([("absent", "/a")], [put("/a", "2")], 5)
        self.assertEqual(told(self.records, 1), ["2 -/a", "3 +/a"])

    def test_every_step_is_told_and_nothing_that_did_not_happen(self):
        operations = [put("/t/a", "1"), ("delete", "/never"), ("delete-range", "/t/"), put("/t/a", "2")]
        self.records.write([], operations, 0)
        self.assertEqual(told(self.records, 0), ["1 +/t/a", "1 -/t/a", "1 +/t/a"])
        with self.assertRaises(Compacted):
            self.records.after(2, 100)

    def test_the_oldest_changes_are_forgotten(self):
        for number in range(CHANGES_MAX + 1):
            self.records.write([], [put(f"/{number}", "")], 0)
        with self.assertRaises(Compacted) as refused:
            self.records.after(0, 1)
        self.assertEqual(refused.exception.oldest, 1)
        changes, up_to = self.records.after(1, 2)
        self.assertEqual((len(changes), up_to), (2, 3))

    def test_keys_are_in_the_order_of_their_bytes(self):
        keys = ["/", "/a", "/a/b", "/b", "/ä", "/\uffee", "/\U0001f511"]
        self.records.write([], [put(key, "1") for key in reversed(keys)], 0)
        self.assertEqual([item.key for item in self.records.range("/", None, 99, 0)[0]], keys)
        self.assertEqual(sorted(keys, key=str.encode), keys)

    def test_what_is_read_is_what_was_written(self):
        self.records.write([], [put("/ä", "one"), put("/b", "", 1 << 60)], 0)
        self.records.write([], [("delete", "/b")], 0)
        kept = self.records.to_bytes()
        self.assertEqual(revision_of(kept), 2)
        again = Records.from_bytes(kept)
        self.assertEqual(vars(again), vars(self.records))


if __name__ == "__main__":
    unittest.main()
