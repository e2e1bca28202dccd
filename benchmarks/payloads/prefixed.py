"""The floor of showing a log: reads a file, or a command's output, and writes each line behind a prefix.

prefixed.py FILE
prefixed.py -- COMMAND...
"""

from __future__ import annotations

import subprocess
import sys


def main(words: list[str]) -> None:
    if words[0] == "--":
        with subprocess.Popen(words[1:], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.buffer.write(b"main/0 " + line)
    else:
        with open(words[0], "rb") as file:
            for line in file:
                sys.stdout.buffer.write(b"main/0 " + line)


if __name__ == "__main__":
    main(sys.argv[1:])
