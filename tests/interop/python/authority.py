"""Prints the private SSH key of an authority, as the auth server keeps it: DATABASE, KIND.

Only with it can a test make the certificates that the auth server refuses to make.
"""

import json
import sqlite3
import sys

database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
rows = database.execute("SELECT value FROM items WHERE key = ?", [f"/authority/{sys.argv[2]}"])
print(json.loads(rows.fetchone()[0])["ssh"], end="")
