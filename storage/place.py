"""Where things lie: in folders of a disk, or below a key of an object store (`s3://bucket/key`). Both have the methods of `pathlib.Path`.

Endpoint, region and credentials of an object store come from the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and so on),
where obstore, Polars and Delta all look for them.
"""

import io
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import cast

from obstore.store import ObjectStore, S3Store

from schemas.errors import UsageError

SCHEME = "s3://"


def place(text: str | PathLike[str]) -> Path:
    """The path of a text, on the disk or in an object store. UsageError for any other scheme."""
    if str(text).startswith(SCHEME):
        return _remote(str(text))
    if "://" in str(text):
        raise UsageError(f"{text}: a folder or {SCHEME}BUCKET/KEY is needed")
    return Path(fspath(text))


def is_remote(path: Path) -> bool:
    """Whether a path lies in an object store."""
    return not isinstance(path, Path)


def located(path: Path) -> tuple[ObjectStore, str]:
    """The store in which a remote path lies, and its key there."""
    bucket, _, key = str(path).removeprefix(SCHEME).partition("/")
    return _store(bucket), key


@cache
def _store(bucket: str) -> ObjectStore:
    return S3Store(bucket)


def _remote(text: str) -> Path:
    """A path with pathlib's methods over obstore (universal_pathlib)."""
    from upath import UPath

    _register()

    return cast("Path", UPath(text.rstrip("/")))


@cache
def _register() -> None:
    from obstore import fsspec

    fsspec.register("s3")
    fsspec.BufferedFile._reader = io.BytesIO()  # type: ignore[assignment]  # a file that could not be opened is closed all the same
