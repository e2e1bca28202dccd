"""Says for any number in the address whether it's a prime; stands for a model that takes a while to load."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    """``GET /7`` is answered by ``yes``."""

    def do_GET(self) -> None:
        number = int(self.path[1:])
        prime = number > 1 and all(number % d for d in range(2, int(number**0.5) + 1))
        body = b"yes" if prime else b"no"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name for it
        """No line for each question."""


if __name__ == "__main__":
    port = int(sys.argv[1])
    print("serving")
    ThreadingHTTPServer(("", port), Answers).serve_forever()
