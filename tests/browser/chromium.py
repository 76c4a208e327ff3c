"""Debian's Chromium without a window, driven through the DevTools protocol over a pair of pipes: no further library is needed."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-extensions",
    "--hide-scrollbars",
)
LIGHT, DARK = "light", "dark"
DESK, PHONE = (1100, 900), (360, 740)


@dataclass
class Page:
    """A tab. requests: what it asked for, other than files and data; complaints: errors of the page, its scripts and its styles."""

    reading: Any
    writing: Any
    session: str = ""
    number: int = 0
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: int = 0

    def ask(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; what it answers."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.writing.write(json.dumps(message).encode() + b"\0")
        self.writing.flush()
        while True:
            said = self.hear()
            if said.get("id") == self.number:
                assert "error" not in said, said
                return said["result"]

    def hear(self) -> Any:
        """The next message; what it tells is kept."""
        data = bytearray()
        while (byte := self.reading.read(1)) != b"\0":
            assert byte, "the browser has ended"
            data += byte
        said = json.loads(data)
        told = said.get("params", {})
        match said.get("method"):
            case "Network.requestWillBeSent":
                url = told["request"]["url"]
                self.requests += [] if url.startswith(("file:", "data:")) else [url]
            case "Network.loadingFailed":
                self.complaints.append(f"not loaded: {told['errorText']}")
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(json.dumps(told))
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(told["args"]))
            case "Page.loadEventFired":
                self.loaded += 1
        return said

    def open(self, path: Path) -> None:
        """Go to a page, until it is loaded."""
        before = self.loaded
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while self.loaded == before:
            self.hear()

    def find(self, script: str) -> Any:
        """The value of an expression on the page."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def look_like(self, size: tuple[int, int] = DESK, scheme: str = LIGHT, media: str = "screen") -> None:
        """Be a screen of a size, light or dark, or paper."""
        self.ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=size == PHONE)
        self.ask("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str, code: int) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """A screenshot of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]))


@contextmanager
def browser(home: Path) -> Iterator[Page]:
    """A browser with one tab."""
    assert PROGRAM
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    def pipes() -> None:  # the browser reads from 3 and writes to 4
        keep = os.dup(theirs_in), os.dup(theirs_out)
        os.dup2(keep[0], 3)
        os.dup2(keep[1], 4)
        os.set_inheritable(3, True)
        os.set_inheritable(4, True)

    line = [PROGRAM, *FLAGS, f"--user-data-dir={home}", "about:blank"]
    with subprocess.Popen(line, preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:  # noqa: PLW1509
        os.close(theirs_in)
        os.close(theirs_out)
        with os.fdopen(ours_in, "rb", buffering=65536) as reading, os.fdopen(ours_out, "wb") as writing:
            page = Page(reading, writing)
            target = page.ask("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.ask(f"{domain}.enable")
            try:
                yield page
            finally:
                page.session = ""
                page.ask("Browser.close")
        child.wait(timeout=20)
