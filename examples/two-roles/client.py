"""Asks the server beside it about the first numbers and counts the primes."""

from __future__ import annotations

import os
import sys
import time
from http.client import HTTPConnection

PATIENCE = 60.0


def connect(host: str, port: int) -> HTTPConnection:
    """A connection, once the server listens: roles start together, and a server takes a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = HTTPConnection(host, port, timeout=PATIENCE)
        try:
            connection.connect()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return connection


def is_prime(server: HTTPConnection, number: int) -> bool:
    """What the server says."""
    server.request("GET", f"/{number}")
    return server.getresponse().read() == b"yes"


def main() -> None:
    """Counts."""
    server = connect(os.environ["XRUN_RANK0_HOST_SERVER"], int(sys.argv[1]))
    questions = int(sys.argv[2])
    primes = 0
    for number in range(questions):
        primes += is_prime(server, number)
        server.close()  # http.server speaks HTTP/1.0: a connection for each question
    print(f"{primes} primes below {questions}")


if __name__ == "__main__":
    main()
