import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from about import NoAddress, about


class About(unittest.TestCase):
    def test_an_endpoint_is_an_address(self):
        self.assertEqual(about("https://db.example.com")[1], 1024 * 1024)
        with self.assertRaises(NoAddress):
            about("db")


if __name__ == "__main__":
    unittest.main()
