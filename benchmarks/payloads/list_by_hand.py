"""The least that lists a history: its rows, the newest first, tab-separated.

list_by_hand.py FILE
"""

from __future__ import annotations

import os
import sqlite3
import sys

rows = sqlite3.connect(sys.argv[1]).execute(
    "SELECT handle, state, submitted, ended, name, user FROM jobs ORDER BY submitted DESC"
)
os.write(1, "\n".join("\t".join(map(str, row)) for row in rows).encode())
