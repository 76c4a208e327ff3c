"""`lefi export` and `lefi unpack`: deliveries on their way to a partner, encrypted for it alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import RefusedError, UsageError
from storage import archives, outbox
from storage.agreement import require_complete
from storage.place import is_remote
from storage.workspace import Workspace


def export(workspace: Path, partner: str, target: Path, recipients: Sequence[str], say: Callable[[str], None]) -> Mapping[str, Any]:
    """Encrypt each delivery of a partner that is not there yet. Returns the sequences made, kept, and erased before (these have no files any more)."""
    keys = archives.recipients_in(recipients)
    place = Workspace(workspace)
    place.catalog()
    folder = place.outbox / partner
    require_complete(place)
    if partner in ("", ".", "..") or "/" in partner or not folder.is_dir():
        raise RefusedError(f"--partner {partner}: has no deliveries")
    if not is_remote(workspace) and target.resolve().is_relative_to(place.outbox.resolve()):
        raise UsageError(f"--to {target}: the outbox holds deliveries only (contract, section 1): name another folder")
    found: dict[str, list[int]] = {"exported": [], "kept": [], "erased": []}
    for delivery in sorted(path for path in folder.iterdir() if (path / outbox.MANIFEST).exists()):
        archive = target / f"{partner}-{delivery.name}{archives.ENDING}"
        state = "kept" if archive.exists() else "erased" if outbox.is_erased(delivery) else "exported"
        if state == "exported":
            archives.pack(delivery, archive, keys)
            say(f"{archive.name}")
        found[state].append(int(delivery.name))
    return {"partner": partner, "to": str(target), **found}


def unpack(archive: Path, target: Path, identity: str, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Open the archives of a folder, in order, into OUTBOX/PARTNER; those that are there already are left alone."""
    keys = archives.identities_in(identity)
    if not archive.is_dir():
        raise UsageError(f"{archive} is no folder of archives")
    opened = []
    found = [(path, archives.NAME.fullmatch(path.name)) for path in sorted(archive.glob(f"*{archives.ENDING}"))]
    partners = {named["partner"] for _, named in found if named}
    if partners and target.name not in partners:
        raise UsageError(f"{target}: the archives are of {', '.join(sorted(partners))}: name a folder that ends so")
    for path, named in found:
        if named and named["partner"] == target.name and archives.unpack(path, target, keys):
            say(path.name)
            opened.append(int(named["sequence"]))
    return {"partner": target.name, "opened": opened}


def show_export(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    print(f"{summary['partner']}: {len(summary['exported'])} deliveries encrypted to {summary['to']}, {len(summary['kept'])} were there")
    if summary["erased"]:
        print(f"{len(summary['erased'])} older ones have no files any more (retention)")


def show_unpack(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    print(f"{summary['partner']}: {len(summary['opened'])} deliveries opened; next: `lefi receive`")
