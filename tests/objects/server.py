"""An S3 server on this machine (moto's), and a wire to it on which things go wrong."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.kit import ROOT
from tests.objects.wire import CONTROL

BUCKET, REGION = "lefi", "eu-north-1"
MOTO = ("-c", "import sys; from moto.server import main; main(sys.argv[1:])", "-H", "127.0.0.1", "-p")
ALWAYS = 1_000_000


@dataclass
class Wire:
    """The wire, by its port."""

    port: int

    def goes_wrong(self, fault: str, method: str = "GET|PUT|POST|DELETE|HEAD", path: str = "", every: int = 1, until: int = ALWAYS) -> None:
        """From now on, each `every`th of the first `until` requests of a method to a path fails.

        503: the server is busy, and has done nothing; 403: it refuses; slow: half a second passes; lost: the connection ends before the server hears of it;
        unanswered: the server has done it, and the connection ends before its answer.
        """
        self.ask("PUT", [{"fault": fault, "method": method, "path": path, "every": every, "until": until}])

    def is_sound(self) -> None:
        """From now on nothing goes wrong."""
        self.ask("PUT", [])

    def went_wrong(self) -> dict[str, int]:
        """How often, since `goes_wrong`."""
        return dict(self.ask("GET"))

    def ask(self, method: str, rules: list[dict[str, Any]] | None = None) -> Any:
        """Talk to the wire itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, CONTROL, json.dumps(rules))
        return json.loads(connection.getresponse().read())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(*arguments: str, port: int) -> Iterator[None]:
    """A Python process that listens on a port."""
    child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert child.poll() is None, f"{arguments} ended"
            time.sleep(0.1)
        yield
    finally:
        child.kill()
        child.wait()


@contextmanager
def object_store() -> Iterator[Wire]:
    """A store with an empty bucket; this process, and those that it starts, reach it over a wire."""
    upstream, port = free_port(), free_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    wire = listening("-m", "tests.objects.wire", str(port), str(upstream), port=port)
    with listening(*MOTO, str(upstream), port=upstream), wire, patch.dict(os.environ, settings):
        connection = http.client.HTTPConnection("127.0.0.1", upstream)
        connection.request(
            "PUT", f"/{BUCKET}", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
        )
        assert connection.getresponse().status == 200
        yield Wire(port)
