"""The partner's picture: a DuckDB file that holds what R50 makes of the deliveries received so far."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from schemas.contracts import DELIVERY_RECORD, RECEIPT
from schemas.errors import DiskError, RefusedError, UsageError

FILE_NAME = "picture.duckdb"
HEADERS_BYTES = 3 * 4096  # what DuckDB writes first into a new file
SYSTEM_ERROR = re.compile(r'(?:Could not [a-z]+(?: from)?|Cannot open) file ".*": ([^":\n]+)')  # how DuckDB tells what the system said
SPENT = frozenset({"action", "trigger", "former_personnummer", "supersedes"})  # they say what to do with a record, not what it is

# The current picture. sequence, record_no: the record that put the fact here.
FACTS = pl.Schema([("sequence", pl.Int64), *((name, dtype) for name, dtype in DELIVERY_RECORD.frame.items() if name not in SPENT)])

# Every group that was told of. complete: false from a DEVIATION until a snapshot; then code and text say why, sequence since when.
GROUPS = pl.Schema(
    {
        "personnummer": pl.String,
        "benefit": pl.String,
        "complete": pl.Boolean,
        "code": pl.String,
        "text": pl.String,
        "sequence": pl.Int64,
    }
)
RECEIPTS = pl.Schema([("sequence", pl.Int64), *RECEIPT.frame.items()])
REFRESHES = pl.Schema({"sequence": pl.Int64, "order_id": pl.String, "line_no": pl.Int32, "slice": pl.Int32, "of": pl.Int32})
TABLES = {"facts": FACTS, "groups": GROUPS, "receipts": RECEIPTS, "refreshes": REFRESHES}
DELIVERIES = """CREATE TABLE IF NOT EXISTS deliveries (
    partner VARCHAR, sequence BIGINT PRIMARY KEY, digest VARCHAR, business_date DATE, run VARCHAR,
    records BIGINT, receipts BIGINT, withheld JSON
)"""
SCALARS = {pl.String: "VARCHAR", pl.Enum: "VARCHAR", pl.Int32: "INTEGER", pl.Int64: "BIGINT", pl.Boolean: "BOOLEAN", pl.Date: "DATE"}


def sql_type(dtype: Any) -> str:
    """The DuckDB type of a Polars one; enums become texts."""
    if isinstance(dtype, pl.List):
        return f"{sql_type(dtype.inner)}[]"
    if isinstance(dtype, pl.Struct):
        return f"STRUCT({columns({field.name: field.dtype for field in dtype.fields})})"
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision}, {dtype.scale})"
    return SCALARS[dtype.base_type()]


def columns(schema: Mapping[str, Any]) -> str:
    """Names and types, as in a CREATE TABLE or a STRUCT."""
    return ", ".join(f'"{name}" {sql_type(dtype)}' for name, dtype in schema.items())


def state_file(state: Path) -> Path:
    """The DuckDB file that STATE means: itself, or picture.duckdb in it when it is a folder."""
    return state / FILE_NAME if state.is_dir() else state


@contextmanager
def opened(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the picture for one writer, making its tables when it is new.

    Raises RefusedError while another process has it open, UsageError when the file is something else or cannot be there, DiskError when
    the disk refuses.
    """
    file = state_file(state)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{file} cannot be made: what it is to lie in is no folder") from error
    with connected(file, read_only=False) as connection:
        require_ours(connection, file)
        with transaction(connection):
            create_tables(connection)
        yield connection


def require_ours(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Refuse a database that has tables, and not those of a picture. UsageError."""
    there = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if there and not {*TABLES, "deliveries"} <= there:
        raise UsageError(f"{file} is a database of something else, not a picture that `lefi receive` made: name another file")


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of a picture that are not there yet."""
    for table, schema in TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns(schema)})")
    connection.execute(DELIVERIES)


@contextmanager
def connected(file: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file; the same errors as `opened`."""
    connection = connect(file, read_only=read_only)
    try:
        yield connection
    except duckdb.Error as error:
        refuse_with_the_system(error, file)
        if not is_damage(error):
            raise
        raise UsageError(f"{file} is damaged: remove it and receive again, which makes it anew from the deliveries") from error
    finally:
        connection.close()


def connect(file: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Connect to a DuckDB file, to a new one in place of a stub; the same errors as `opened`."""
    try:
        return duckdb.connect(str(file), read_only=read_only)
    except duckdb.Error as error:
        if "Could not set lock" in str(error):
            raise RefusedError(f"{file} is in use by another process: receive again when that has ended") from error
        refuse_with_the_system(error, file)
        if read_only or not is_stub(file):
            raise UsageError(f"{file} is not a picture that `lefi receive` made, or cannot be opened") from error
    file.unlink()
    return connect(file, read_only=False)


def is_stub(file: Path) -> bool:
    """Whether a file is empty, or as far as DuckDB came with one when it was killed or the disk was full: nothing can be in it yet."""
    with file.open("rb") as stream:
        head = stream.read(HEADERS_BYTES)
    return not head or (len(head) < HEADERS_BYTES and head[8:12] == b"DUCK")


def refuse_with_the_system(error: duckdb.Error, file: Path) -> None:
    """Raise DiskError when what DuckDB says is what the system said, such as that the disk is full."""
    if said := SYSTEM_ERROR.search(str(error)):
        raise DiskError(f"{said[1]}: {file}") from error


def is_damage(error: duckdb.Error) -> bool:
    """Whether what DuckDB says is about a file that it cannot read, and not about a statement."""
    if isinstance(error, duckdb.IOException):
        return "read" in str(error)
    return type(error) is duckdb.Error or isinstance(
        error, duckdb.SerializationException | duckdb.FatalException | duckdb.InternalException
    )


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep all that is done inside, or, after an error or a kill, nothing of it."""
    connection.begin()
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # what went wrong first says more
            connection.rollback()
        raise
    connection.commit()


def picture(state: Path) -> pl.DataFrame:
    """The facts of the current picture: FACTS, ordered by personnummer, benefit, fact_id."""
    with connected(state_file(state), read_only=True) as connection:
        facts: pl.DataFrame = connection.sql("SELECT * FROM facts ORDER BY personnummer, benefit, fact_id").pl()
    return facts.cast(FACTS)
