"""What a pipeline comes to: one document, written by its last step. Runners bring nothing back; an attempt's folder is where it is found."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.bites import Bite
from pipelines.plan import Plan
from pipelines.side_by_side import Description
from schemas.errors import VerificationError
from storage import durable
from storage.pace import Amount
from storage.place import is_remote
from storage.tables import TableFile

FOUND_FILE = "found.json"


@dataclass(frozen=True)
class Found(Description):
    """What a step left for a bite: files by name. rows: of facts and ledger that it looked at."""

    bite: Bite
    files: Mapping[str, TableFile]
    rows: int

    @property
    def amount(self) -> Amount:
        """Those."""
        return Amount(0, self.rows)


def write_result(value: Any, plan: Plan, name: str) -> str:
    """Write the document of a pipeline in the folder of this call, whole or not at all. Returns its path."""
    path = plan.staging / name
    durable.write_file(path, durable.to_json(value))
    return str(path)


def write_passing(value: Any, plan: Plan, name: str) -> str:
    """The same for a document that no other command will look for: whole or not at all, but not durably."""
    path = plan.staging / name
    if is_remote(path):
        return write_result(value, plan, name)
    aside = path.with_name(f".{name}")
    with durable.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(durable.to_json(value))
        aside.replace(path)
    return str(path)


def read_result(attempt: Plan, name: str) -> Any:
    """The document of a pipeline that has run. A last step that was repeated has left several, which say the same. VerificationError for none."""
    written = sorted(attempt.staging.glob(f"*/{name}"))
    if not written:
        raise VerificationError(f"control totals: the engine says that all is done, and {name} was not written")
    return json.loads(written[0].read_text("utf-8"))


def write_found(_: object, found: Iterable[Found], plan: Plan) -> str:
    """The last step of a pipeline whose steps leave files, or none, for each bite."""
    in_order = sorted(found, key=lambda each: each.bite.first)
    value = {
        "bites": [each.bite.name for each in in_order],
        "files": [{name: file.to_json() for name, file in each.files.items()} for each in in_order],
    }
    return write_passing(value, plan, FOUND_FILE)


def read_found(attempt: Plan, bites: Iterable[Bite], name: str) -> list[TableFile]:
    """The files of a name, by bucket. VerificationError when a bite was not looked at, or more than once."""
    value, wanted = read_result(attempt, FOUND_FILE), [bite.name for bite in bites]
    if value["bites"] != wanted:
        raise VerificationError(f"control totals: of the buckets {wanted[:5]} only {value['bites'][:5]} were looked at, or some twice")
    return [TableFile(**files[name]) for files in value["files"] if name in files]
