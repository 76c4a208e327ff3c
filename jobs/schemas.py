"""`lefi schemas`: the contracts as files, for whoever builds a receiver or reads summaries: .avsc, manifest, key list, what --json prints."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas import contracts
from schemas.manifest import manifest_schema
from schemas.summaries import BY_COMMAND, schema_of
from storage import durable
from storage.seals import KeyList

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def files() -> Iterator[tuple[str, Any]]:
    """Name and content of each."""
    for contract in (contracts.BENEFIT_FACT, contracts.PERSON, contracts.ORDER_LINE, contracts.RECEIPT, contracts.DELIVERY_RECORD):
        yield f"avro/{contract.name}.avsc", contract.schema
    yield "manifest.schema.json", manifest_schema()
    yield "keys.schema.json", {"$schema": DRAFT} | KeyList.model_json_schema()
    for command in BY_COMMAND:
        yield f"commands/{command}.schema.json", schema_of(command)


def publish(folder: Path) -> Mapping[str, Any]:
    """Write them below a folder; those that are there are replaced."""
    names = []
    for name, content in files():
        durable.write_file(folder / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
        names.append(name)
    return {"folder": str(folder), "files": names}


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    print(f"{len(summary['files'])} schemas are in {summary['folder']}: Avro, manifest, key list, and what each command prints with --json")
