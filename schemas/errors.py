"""What can go wrong, each with the exit code of the command line (contract, section 2). Texts name rule, value and place, never a personnummer."""

import re
import traceback
from pathlib import Path


class LefiError(Exception):
    """An error that an operator can act on. `exit_code` is the command's."""

    exit_code = 1


class UsageError(LefiError):
    """Wrong usage or configuration."""

    exit_code = 2


class RefusedError(LefiError):
    """An argument or the workspace's state forbids it."""

    exit_code = 3


class VerificationError(LefiError):
    """What was made, or received, does not add up."""

    exit_code = 4


class BrokenFileError(LefiError):
    """A file cannot be taken as what it should be: damaged, lying about itself, or of a schema that is not accepted."""


class DiskError(LefiError):
    """The disk refused a write: it is full, or a quota or limit is reached. The text names reason and path."""


TERMINAL = re.compile(r"\x1b\[[0-9;]*m|↳")
REASON_LENGTH = 500


class BugError(LefiError):
    """Something that we did not foresee went wrong on a worker. The text is its kind and place, without any value."""


def is_failure(error: BaseException) -> bool:
    """Whether something went wrong, in Python or, as a panic, in a library written in Rust: not that somebody wants the process to end."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def place_of(error: BaseException) -> str:
    """Where an error was raised, by file and line, without any value."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))


NUMBER = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9]{12}|[0-9]{10}|[0-9]{8}[-+][0-9]{4}|[0-9]{6}[-+][0-9]{4})(?![0-9A-Za-z])"
    r"|(?<![0-9])(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[06][1-9]|[1278][0-9]|[39][01])[-+]?[0-9]{4}(?![0-9])"  # also inside a word
)


def storage_reason(error: BaseException) -> str | None:
    """Why a disk or an object store did not do something, in one line that names the place; None for any other error."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.strerror, error.filename) if part)
    if isinstance(error, OSError) or type(error).__module__ == "obstore.exceptions":
        text = " ".join(TERMINAL.sub(" ", str(error)).split("Debug source")[0].split())
        return f"the storage does not answer as it should: {text[:REASON_LENGTH]}"
    return None


class if_storage_lets_us:  # noqa: N801 - reads as a word of the language, like contextlib.suppress
    """Go on where a disk or an object store does not do something: for notes that help, and that nothing depends on."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Whether what happened is of no matter."""
        return error is not None and storage_reason(error) is not None


def masked(text: str) -> str:
    """A text without anything that could be a personnummer: a wrong value in a head or an argument may be one."""
    return NUMBER.sub("(number)", text)


def require_reason(text: str) -> None:
    """Refuse a --reason that says nothing, or has what could be a personnummer: it is kept, and partners read it. UsageError."""
    if not text.strip():
        raise UsageError("--reason is empty: it is kept, and partners read it")
    if masked(text) != text:
        raise UsageError("--reason has what could be a personnummer, and is read by partners and kept in runs/: say it without")
