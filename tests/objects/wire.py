"""A wire to an S3 server, on which things go wrong as it is told.

    python -m tests.objects.wire PORT UPSTREAM

It is a process of its own: who asks a store from native code may hold the interpreter until it has its answer. `PUT /wire` says what is to go wrong
from now on, and `GET /wire` how often each has.
"""

import http.client
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTROL = "/wire"
NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
LOCK = threading.Lock()
rules: list[dict[str, Any]] = []
seen: Counter[int] = Counter()
went_wrong: Counter[str] = Counter()


def fault_of(method: str, path: str) -> str | None:
    """What goes wrong with a request. A rule has method, path (a regular expression), fault, and counts of the requests that fit: every, until."""
    with LOCK:
        for place, rule in enumerate(rules):
            if method in rule["method"].split("|") and re.search(rule["path"], path):
                seen[place] += 1
                if seen[place] % rule["every"] == 0 and seen[place] <= rule["until"]:
                    went_wrong[rule["fault"]] += 1
                    return str(rule["fault"])
    return None


class Handler(BaseHTTPRequestHandler):
    """Passes requests on."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def pass_on(self) -> None:
        """One request, with what goes wrong with it."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == CONTROL:
            self.told(body)
            return
        fault = fault_of(self.command, self.path)
        if fault == "lost":
            self.hang_up()
        elif fault == "503":
            self.answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
        elif fault == "403":
            self.answer(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
        else:
            time.sleep(0.5 if fault == "slow" else 0)
            upstream = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]), timeout=60)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answered = upstream.getresponse()
            data, headers = answered.read(), dict(answered.getheaders())
            upstream.close()
            if fault == "unanswered":
                self.hang_up()
            else:
                self.answer(answered.status, headers, data)

    def told(self, body: bytes) -> None:
        """What is to go wrong, or how often it has."""
        with LOCK:
            if self.command == "PUT":
                rules[:] = json.loads(body)
                seen.clear()
                went_wrong.clear()
            self.answer(200, {}, json.dumps(went_wrong).encode())

    def hang_up(self) -> None:
        """End the connection."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        """Send an answer. headers: the server's."""
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), "0")
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(BrokenPipeError):  # who asked has gone
                self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815 - the names that http.server looks for


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
