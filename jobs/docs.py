"""`make docs`: the reference, made from what the code says of itself: commands, record types, tables, benefits."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import typer.main

from jobs.lefi import app
from jobs.schemas import publish
from schemas import contracts
from schemas.frames import IN_STORE, TABLES
from storage.conf import packaged_benefits
from storage.tables import stored

REFERENCE = "reference.md"
CONTRACTS = (contracts.BENEFIT_FACT, contracts.PERSON, contracts.ORDER_LINE, contracts.RECEIPT, contracts.DELIVERY_RECORD)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def commands() -> Iterator[str]:
    """Every command with its arguments and options, as the command line itself tells them."""
    group: Any = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        yield f"### `lefi {name}`\n"
        yield f"{command.help}\n"
        yield from table(("argument", "says"), ((f"`{' '.join(spelled(p))}`", said(p)) for p in command.params))


def spelled(parameter: Any) -> list[str]:
    """How an argument is written on the command line."""
    return [parameter.metavar or parameter.name.upper()] if parameter.param_type_name == "argument" else list(parameter.opts)


def said(parameter: Any) -> str:
    """What an argument is for, whether it must be there, and what holds when it is not."""
    more = ["required"] if parameter.required and parameter.param_type_name == "option" else []
    if isinstance(parameter.default, str | int) and not parameter.is_flag:
        more.append(f"default: `{parameter.default}`")
    if parameter.envvar:
        more.append(f"or in the environment: `{parameter.envvar}`")
    return " ".join([parameter.help or "", *([f"({'; '.join(more)})"] if more else [])]).strip()


def avro_type(kind: Any) -> str:
    """An Avro type in a word."""
    if isinstance(kind, list):
        return avro_type(contracts.bare(kind)) + "?"
    if isinstance(kind, str):
        return kind
    if "logicalType" in kind:
        return (
            f"{kind['logicalType']}({kind['precision']},{kind['scale']})" if kind["logicalType"] == "decimal" else str(kind["logicalType"])
        )
    if kind["type"] == "enum":
        return f"{kind['name']}: {', '.join(kind['symbols'])}"
    if kind["type"] == "array":
        return f"array of {avro_type(kind['items'])}"
    fields = ", ".join(f"{field['name']} {avro_type(field['type'])}" for field in kind["fields"])
    return f"{kind['name']} {{{fields}}}"


def records() -> Iterator[str]:
    """The five record types of the contract."""
    for contract in CONTRACTS:
        yield f"### {contract.name}\n"
        yield f"{contract.schema['doc']} `schemas/avro/` has the .avsc file.\n"
        yield from table(("field", "type", "is"), ((f["name"], avro_type(f["type"]), f["doc"]) for f in contract.schema["fields"]))


def dtype(kind: pl.DataType) -> str:
    """A Polars type in a word; a moment is in UTC."""
    return "Datetime, microseconds" if isinstance(kind, pl.Datetime) else str(kind)


def state(tables: Mapping[str, pl.Schema]) -> Iterator[str]:
    """The tables of store/ and lake/, as they lie on disk."""
    for name, schema in tables.items():
        yield f"### {'store' if name in IN_STORE else 'lake'}/{name}\n"
        yield from table(("column", "type"), ((column, dtype(kind)) for column, kind in stored(schema).items()))


def reference() -> str:
    """The whole page."""
    lines = ["# Reference\n", "Made by `make docs` from the code; do not edit.\n", "## Commands\n", *commands()]
    catalogue = ((code, each.name, each.unit) for code, each in packaged_benefits().items())
    lines += ["## Record types\n", *records()]
    lines += ["## Benefits\n", *table(("code", "name", "unit"), catalogue)]
    lines += ["## State\n", *state(TABLES)]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1], REFERENCE).write_text(reference(), "utf-8")
    publish(Path(sys.argv[1], "schemas"))
