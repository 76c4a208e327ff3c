"""A receiver in one page: verify a partner's deliveries, fold them (R50), write the picture as JSON. Needs fastavro, nothing of lefi.

python receive.py OUTBOX/PARTNER picture.json
"""

import hashlib
import json
import sys
from pathlib import Path

import fastavro


def digest_of(manifest):
    bare = {name: value for name, value in manifest.items() if name not in ("digest", "signature")}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def verified(folder, before):
    """The manifest of a delivery, once it, its place in the chain and its files are found right."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["digest"] == digest_of(manifest), f"{folder}: the manifest was changed"
    assert (manifest["partner"], manifest["sequence"]) == (folder.parent.name, int(folder.name)), f"{folder}: another delivery"
    previous = before and {"sequence": before["sequence"], "digest": before["digest"]}
    assert manifest["previous"] == previous, f"{folder}: does not follow the one before"
    for file in manifest["files"]:
        data = (folder / file["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"], f"{folder}: {file['name']} was changed"
    return manifest


def fold(picture, incomplete, records):
    """R50. picture: (personnummer, benefit) -> fact_id -> record; incomplete: the groups that lack something."""
    begun = set()
    for record in records:
        group = record["personnummer"], record["benefit"]
        action = record["action"]
        if action == "DEVIATION":
            incomplete.add(group)
            continue
        if action == "EMPTY" or (action == "SNAPSHOT" and group not in begun):
            begun.add(group)
            for empty in (group, (record["former_personnummer"], record["benefit"])):
                picture.pop(empty, None)
                incomplete.discard(empty)
        if action in ("SNAPSHOT", "NEW", "CORRECTED"):
            picture.setdefault(group, {})[record["fact_id"]] = record
        if action == "ANNULLED":
            del picture[group][record["fact_id"]]


def main(outbox, target):
    picture, incomplete, before = {}, set(), None
    for folder in sorted(path for path in outbox.iterdir() if (path / "manifest.json").exists()):
        before = verified(folder, before)
        for file in before["files"]:
            if file["name"] != "receipts.avro":
                with (folder / file["name"]).open("rb") as part:
                    fold(picture, incomplete, fastavro.reader(part))
    facts = {
        f"{personnummer} {benefit} {fact_id}": record["units"]
        for (personnummer, benefit), of_group in picture.items()
        for fact_id, record in of_group.items()
    }
    target.write_text(json.dumps(facts, sort_keys=True, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{before['sequence'] if before else 0} deliveries, {len(facts)} facts, {len(incomplete)} groups incomplete")


main(Path(sys.argv[1]), Path(sys.argv[2]))
