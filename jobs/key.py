"""`lefi key`: the key that deliveries are signed with, and the list by which partners know it."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from schemas.errors import UsageError
from storage import seals


def key(file: Path, publish: Path | None, valid_from: date | None, overlap_days: int) -> Mapping[str, Any]:
    """Make the key unless it is there, and put its public half into a list if one is named. Returns what may be known of it."""
    if valid_from and not publish:
        raise UsageError("--valid-from goes with --publish")
    made = not file.exists()
    signer = seals.make(file) if made else seals.signer_from(str(file))
    assert signer is not None
    entry = signer.entry(valid_from)
    keys = seals.publish(publish, entry, overlap_days).keys if publish else (entry,)
    return {
        "file": str(file),
        "made": made,
        **entry.model_dump(mode="json", include={"id", "algorithm", "public"}),
        "list": str(publish) if publish else None,
        "keys": [each.model_dump(mode="json") for each in keys],
    }


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    print(f"{summary['file']}: key {summary['id']} {'was made; keep it secret, and a copy of it safe' if summary['made'] else 'is there'}")
    if summary["list"]:
        for each in summary["keys"]:
            print(
                f"{summary['list']}: {each['id']} from {each['valid_from'] or 'the beginning'} until {each['valid_until'] or 'further notice'}"
            )
        print("next: give the list to the partners on another way than the deliveries, and set LEFI_SIGNING_KEY for the nights")
    else:
        print("next: `--publish LIST` puts its public half into the list that the partners get")
