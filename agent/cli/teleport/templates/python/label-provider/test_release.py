import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from release import NotReleased, release


class Release(unittest.TestCase):
    def test_the_release_is_without_its_line_break(self):
        self.assertEqual(release(0, b"6.12.0\n"), "6.12.0")

    def test_a_uname_that_fails_is_not_believed(self):
        with self.assertRaises(NotReleased):
            release(1, b"6.12.0\n")


if __name__ == "__main__":
    unittest.main()
