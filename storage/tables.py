"""State: Delta tables that are only appended to. Files are Parquet, sorted by bucket and person, so that a bucket is a range of rows in each.

A worker writes a file under staging (`stage`), the settling of the run moves it in and commits it (`append`), marked with the night's number:
a table that has seen the night is left alone, so settling again after a crash changes nothing. Of several rows with one key the newest night holds.
"""

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import Schema as DeltaSchema
from deltalake.transaction import AddAction, RemoveAction

from schemas.errors import LefiError
from storage import durable
from storage.failpoints import ConflictError, reach
from storage.pace import Amount
from storage.place import place

APPLICATION = "lefi"
DOUBLINGS = "lefi-rebucket"  # how often the buckets of a table were doubled
LOG = "_delta_log"
ROW_GROUP_ROWS = 16_384  # measured on 256 000 facts: smaller and larger ones cost more, to write and to read, whole or by person
CHECKPOINT = 10
FEW = 50  # persons in a file that are asked for one by one; Polars gives up leaving row groups unread somewhere above 100, and is slow then
DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException)  # as which Polars may say that it cannot read a file
NOTHING_ELSE: Mapping[str, int] = {}
RESTORE = "RESTORE"  # Delta's operation that makes a table what it was
DECISIVE = frozenset({RESTORE, "WRITE", "CREATE TABLE"})  # WRITE is what our commits are called
OURS = re.compile(r"(?:night|fold-\d{6})-(\d{6})-")  # how names of our files begin, and the last night that they hold


@dataclass(frozen=True)
class TableFile:
    """A file of a table. path: absolute; first_bucket, last_bucket: what its rows lie between."""

    path: str
    rows: int
    first_bucket: int
    last_bucket: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in commit.json."""
        return asdict(self)

    @property
    def amount(self) -> Amount:
        """Its rows and bytes; a file that is not there has none."""
        path = place(self.path)
        return Amount(0, self.rows, path.stat().st_size) if self.path and path.exists() else Amount()


def stored(schema: pl.Schema) -> pl.Schema:
    """The types on disk: enums are strings, times microseconds."""
    return pl.Schema({name: on_disk(dtype) for name, dtype in schema.items()})


def on_disk(dtype: pl.DataType) -> pl.DataType:
    """The type on disk of a column's type."""
    if isinstance(dtype, pl.Enum):
        return pl.String()
    return pl.Datetime("us", "UTC") if isinstance(dtype, pl.Datetime) else dtype


def stage(path: Path, frame: pl.DataFrame) -> TableFile:
    """Write a frame, sorted by bucket, as a file that `append` can take."""
    staged = scratch(path, frame)
    durable.sync_file(path)
    return staged


def scratch(path: Path, frame: pl.DataFrame, group_rows: int = ROW_GROUP_ROWS) -> TableFile:
    """Write a frame, sorted by bucket, for a later step of the same attempt: not durably, since a killed attempt begins anew.

    group_rows: rows of a row group, the least that a reader decodes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()  # not the path: what Polars makes of a full disk cannot be told from a bug
    frame.cast(stored(frame.schema)).write_parquet(data, compression="lz4", row_group_size=group_rows)
    with durable.writing(path):
        path.write_bytes(data.getbuffer())
        reach(f"tables.stage:{path.parent.name}", path)
    first, last = (frame["bucket"][0], frame["bucket"][-1]) if frame.height and "bucket" in frame.columns else (0, 0)
    return TableFile(str(path), frame.height, first, last)


def stage_joined(path: Path, parts: Sequence[TableFile]) -> TableFile:
    """Join staged files, one after the other, to one that `append` can take, without holding all their rows; the parts are removed."""
    data = io.BytesIO()
    pl.concat([pl.scan_parquet(part.path) for part in parts]).sink_parquet(
        data, compression="lz4", row_group_size=ROW_GROUP_ROWS, maintain_order=True
    )
    with durable.writing(path):
        path.write_bytes(data.getbuffer())
    durable.sync_file(path)
    for part in parts:
        place(part.path).unlink()
    return TableFile(str(path), sum(part.rows for part in parts), min(p.first_bucket for p in parts), max(p.last_bucket for p in parts))


def opened(folder: Path) -> DeltaTable | None:
    """A table as its log has it; None when it does not exist yet."""
    return DeltaTable(str(folder)) if DeltaTable.is_deltatable(str(folder)) else None


def files(folder: Path) -> tuple[TableFile, ...]:
    """The live files of a table, oldest first; none when it does not exist yet."""
    return files_of(opened(folder), folder)


def files_of(table: DeltaTable | None, folder: Path) -> tuple[TableFile, ...]:
    """The same of a table that is open."""
    if table is None:
        return ()
    added = pl.DataFrame(table.get_add_actions(flatten=True)).sort("path")
    names = ("min.bucket", "max.bucket") if "min.bucket" in added.columns else (None, None)
    low, high = (added[name].to_list() if name else [0] * added.height for name in names)
    return tuple(
        TableFile(str(folder / path), rows, first, last)
        for path, rows, first, last in zip(added["path"], added["num_records"], low, high, strict=True)
    )


@dataclass(frozen=True)
class State:
    """A table. gone: names of live files that do not lie there or that we did not write, the log's if it cannot be read or does not say of how many
    buckets it is; files: names of the live ones; night: the last whose rows it has, 0 when none wrote; doublings: of its buckets."""

    gone: list[str]
    files: list[str]
    night: int
    doublings: int


def state_of(folder: Path) -> State:
    """How a table is."""
    try:
        table = opened(folder)
        live = files_of(table, folder)
        gone = [Path(file.path).name for file in live if not (OURS.match(Path(file.path).name) and place(file.path).exists())]
        doublings = last_of(table, DOUBLINGS)
        unsaid = [LOG] if (doublings and is_restored(table)) or has_torn(folder) else []
        return State(gone + unsaid, [Path(file.path).name for file in live], last_of(table), doublings)
    except DeltaError:
        return State([LOG], [], 0, 0)


def has_torn(folder: Path) -> bool:
    """Whether a commit since the last checkpoint is cut off: Delta takes a log file that is empty, or ends after any of its lines, for a commit that
    did less. Ours end with the night's number."""
    log = folder / LOG
    if not log.exists():
        return False
    last = log / "_last_checkpoint"
    try:
        since = json.loads(last.read_text("utf-8"))["version"] if last.exists() else -1
    except (ValueError, LookupError, TypeError):
        return True
    return any(is_torn(commit) for commit in log.glob("*.json") if commit.stem.isdigit() and int(commit.stem) > since)


def is_torn(commit: Path) -> bool:
    """Whether a file of a table's log is cut off. Of another writer's, only that its lines are whole can be told."""
    try:
        actions = [json.loads(line) for line in commit.read_text("utf-8").splitlines()]
    except ValueError:
        return True
    writes = any(action.get("commitInfo", {}).get("operation") == "WRITE" for action in actions)
    return not actions or (writes and "txn" not in actions[-1])


def night_of(folder: Path) -> int:
    """The last night that wrote to a table; 0 when none did."""
    return last_of(opened(folder))


def last_of(table: DeltaTable | None, application: str = APPLICATION) -> int:
    """The last night that wrote to a table that is open, or did something else to it.

    Delta's RESTORE brings back files and leaves the transaction ids as they were: of a table that it was the last to touch, the files tell the night.
    """
    said = (table.transaction_version(application) or 0) if table else 0
    if table is None or not said or application != APPLICATION or not is_restored(table):
        return said
    nights = (OURS.match(Path(path).name) for path in table.file_uris())
    return min(said, max((int(found[1]) for found in nights if found), default=0))


def is_restored(table: DeltaTable | None) -> bool:
    """Whether Delta's RESTORE was the last to say which files a table has; what says nothing of that (VACUUM, SET TBLPROPERTIES) is passed over."""
    if table is None:
        return False
    newest = table.history(1)  # nearly always ours: the others are not read
    entries = newest if newest[0].get("operation") in DECISIVE else table.history()
    return next((entry["operation"] for entry in entries if entry.get("operation") in DECISIVE), "") == RESTORE


def doublings_of(folder: Path) -> int:
    """How often the buckets of a table were doubled."""
    return last_of(opened(folder), DOUBLINGS)


def read(
    sources: Iterable[TableFile],
    schema: pl.Schema,
    buckets: tuple[int, int] | None = None,
    persons: pl.Series | None = None,
    partner: str | None = None,
) -> pl.DataFrame:
    """The rows as `schema`: all, or those of some buckets (the first and the last one), of `persons`, or of a partner."""
    wanted = [
        file.path
        for file in sources
        if file.rows and (buckets is None or (file.first_bucket <= buckets[1] and buckets[0] <= file.last_bucket))
    ]
    if not wanted:
        return pl.DataFrame(schema=schema)
    conditions = [pl.col("bucket").is_between(*buckets)] if buckets and "bucket" in schema else []
    if persons is not None:
        conditions.append(pl.col("person").is_in(persons.implode()))
    if partner is not None:
        conditions.append(pl.col("partner") == partner)
    # low_memory: as fast; without it three of thirteen nights went over their --memory (docs/benchmarks.md)
    rows = pl.scan_parquet(wanted, schema=dict(stored(schema)), extra_columns="ignore", glob=False, low_memory=True)
    return collected(rows.filter(*conditions).cast(schema) if conditions else rows.cast(schema), wanted)


def read_of(sources: Sequence[TableFile], schema: pl.Schema, who: pl.DataFrame) -> pl.DataFrame:
    """The rows of some persons, as `schema`. who: (bucket, person). Where they are few only the files and row groups are read that may hold one."""
    found = [pl.DataFrame(schema=schema).lazy()]
    for file in sources:
        here = who.filter(pl.col("bucket").is_between(file.first_bucket, file.last_bucket))
        if file.rows and here.height:
            found.append(pl.scan_parquet(file.path).select(list(schema)).filter(is_one_of(here)).cast(schema))
    return collected(pl.concat(found), [file.path for file in sources])


def collected(rows: pl.LazyFrame, paths: Sequence[str]) -> pl.DataFrame:
    """Read what was asked for. LefiError, which names the table, when one of its files is damaged; what Polars says of that may hold its data."""
    try:
        return rows.collect()
    except DAMAGE as error:
        folder = place(paths[0]).parent
        of_table = "bring the table back from a backup, or remove it and give `lefi rebuild`"
        what_helps = "restore it from a backup" if folder.name == "commands" else of_table  # which nothing else holds
        raise LefiError(f"{folder.parent.name}/{folder.name}: a file is damaged: {what_helps}") from error


def is_one_of(who: pl.DataFrame) -> pl.Expr:
    """Whether a row is of one of some persons, said in the way in which Polars leaves row groups unread by their least and greatest values."""
    if who.height > FEW:
        return pl.col("person").is_in(who["person"].implode())
    return pl.any_horizontal(*((pl.col("bucket") == bucket) & (pl.col("person") == person) for bucket, person in who.iter_rows()))


def newest(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Of each key the row of the newest night; of several of one night the one that was written last."""
    return frame.sort(*key, "night", maintain_order=True).unique(key, keep="last", maintain_order=True)


def file_name(night: int, number: int) -> str:
    """What a night's file is called in its table."""
    return f"night-{night:06d}-{number:04d}.parquet"


def lie_there(folder: Path, staged: Sequence[TableFile], night: int) -> bool:
    """Whether `append` would find each file of a night, under staging or in its place."""
    return all(place(file.path).exists() or (folder / file_name(night, number)).exists() for number, file in enumerate(staged))


def append(folder: Path, staged: Sequence[TableFile], schema: pl.Schema, night: int, *, replace: bool = False) -> None:
    """Move staged files in and commit them for a night; done already: nothing happens. replace: they are all that the table then has."""
    table = opened(folder)
    if table and last_of(table) >= night:
        sync_log(folder, table.version())
        return
    actions: list[AddAction | RemoveAction] = [
        move_in(file, folder / file_name(night, number), schema) for number, file in enumerate(staged)
    ]
    commit(folder, actions, schema, night, "overwrite" if replace else "append")


def move_in(file: TableFile, target: Path, schema: pl.Schema, *, data_change: bool = True) -> AddAction:
    """Move a staged file into its table. Returns what a commit says of it."""
    durable.move(place(file.path), target)
    bounds = {"minValues": {"bucket": file.first_bucket}, "maxValues": {"bucket": file.last_bucket}} if "bucket" in schema else {}
    state = target.stat()
    stats = json.dumps({"numRecords": file.rows} | bounds)
    return AddAction(target.name, state.st_size, {}, int(state.st_mtime * 1000), data_change, stats)


def commit(
    folder: Path,
    actions: list[AddAction | RemoveAction],
    schema: pl.Schema,
    night: int,
    mode: str,
    application: str = APPLICATION,
    also: Mapping[str, int] = NOTHING_ELSE,
) -> None:
    """One Delta commit that carries the night's number, durably; each CHECKPOINT commits a checkpoint, so that no reader goes through hundreds.

    also: further numbers, by application.
    """
    numbers = {application: night, **also}
    properties = CommitProperties(app_transactions=[Transaction(name, number) for name, number in numbers.items()])
    hooks = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
    with durable.writing(folder):
        table = opened(folder)
        if table is None:
            durable.make_folder(folder)
            with suppress(CommitFailedError):  # it is there then, by an attempt whose answer was lost
                DeltaTable.create(str(folder), delta_schema(schema), mode="ignore")
            table = DeltaTable(str(folder))
        before = table.version()
        try:
            reach(f"tables.commit:{folder.name}", folder)
            table.create_write_transaction(
                actions, mode, delta_schema(schema), commit_properties=properties, post_commithook_properties=hooks
            )
            if (before + 1) % CHECKPOINT == 0:
                DeltaTable(str(folder)).create_checkpoint()
        except (CommitFailedError, ConflictError) as error:
            if last_of(opened(folder), application) >= night:
                return  # it was ours: a store had done it, its answer was lost, and the library has tried it twice
            raise LefiError(
                f"{folder}: another writer has committed to this table at the same time: stop it, and give the command again"
            ) from error
        sync_log(folder, before)


def sync_log(folder: Path, since: int) -> None:
    """Make a table's log durable from a version on: Delta's own writer leaves that to chance."""
    for path in sorted((folder / LOG).iterdir()):
        if path.is_file() and (path.name.startswith("_") or path.name >= f"{since:020d}"):
            durable.sync_file(path)
    durable.sync_folder(folder / LOG)
    durable.sync_folder(folder)


def delta_schema(schema: pl.Schema) -> DeltaSchema:
    """A frame's schema as Delta's."""
    return DeltaSchema.from_arrow(pl.DataFrame(schema=stored(schema)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema)
