"""Named places where a test can make the run die, to show that nothing is lost and nothing comes twice.

`LEFI_FAILPOINT=name` kills the process (SIGKILL) the first time it comes there; `name:3` the third time.
"""

import os
import signal
from collections import Counter

_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Say that the run is at a named place."""
    wanted, _, count = os.environ.get("LEFI_FAILPOINT", "").partition(":")
    if wanted == name:
        _reached[name] += 1
        if _reached[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
