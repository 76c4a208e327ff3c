"""Read Avro files with DuckDB's avro extension: in the environment .venv-duckdb, since the extension is of one version of DuckDB.

python duck.py OUT FILE...
"""

import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

DATES, MONEY = ("period_from", "period_to", "effective_on"), ("amount",)
WINDOWS = """list_transform(windows, w -> {first: avro_date(w."first"), last: avro_date(w."last"),
    extent_permille: w.extent_permille, level: w."level", units: w.units})"""


def extension() -> Path:
    """The extension's file, as its package on PyPI brings it."""
    folder = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages" / "duckdb_ext"
    return next(folder.glob(f"extensions/v{duckdb.__version__}/*/avro.duckdb_extension"))


def plain(value: object) -> object:
    """What JSON does not know, as text."""
    assert isinstance(value, date | Decimal), type(value)
    return str(value)


def main(out: str, *files: str) -> None:
    """Write the files' rows as JSON, one a line."""
    connection = duckdb.connect()
    connection.load_extension(str(extension()))
    connection.execute((Path(__file__).parents[2] / "docs" / "examples" / "avro_types.sql").read_text("utf-8"))
    with Path(out).open("w", encoding="utf-8") as lines:
        for file in files:
            known = [row[0] for row in connection.execute("DESCRIBE SELECT * FROM read_avro(?)", [file]).fetchall()]
            typed = [f"avro_date({name}) AS {name}" for name in DATES if name in known]
            typed += [f"avro_sek({name}) AS {name}" for name in MONEY if name in known]
            typed += [f"{WINDOWS} AS windows"] if "windows" in known else []
            found = connection.execute(f"SELECT * REPLACE ({', '.join(typed)}) FROM read_avro(?)", [file])
            for row in found.fetchall():
                lines.write(json.dumps(dict(zip(known, row, strict=True)), default=plain, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
