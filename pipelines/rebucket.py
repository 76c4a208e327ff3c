"""Double the number of buckets: every row gets the bucket that its person has among twice as many. What partners are told stays what it was; only the
bucket in the record numbers of later deliveries is another.

Marked first, done then: as long as store/rebucketing.json is there no other command writes, and the same command goes on where it was killed.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from deltalake.transaction import AddAction, RemoveAction

from pipelines.upgrade import upgrade
from pipelines.view import DAYS_IN, FACTS_IN, TOTALLED
from schemas.buckets import bucket_of
from schemas.errors import RefusedError, UsageError
from schemas.frames import TABLES, TOTALS
from storage import commands, durable, folds, pace, tables
from storage.agreement import require_agreement, require_finished, table_folder
from storage.documents import OF_COMMAND, Shape, document
from storage.failpoints import reach
from storage.folds import SETTLED, SORTED_BY
from storage.lock import only_compaction, only_writer
from storage.pace import Amount
from storage.place import place
from storage.tables import DOUBLINGS, TableFile
from storage.workspace import MOST_BUCKETS, Catalog, Workspace
from transforms.total import total_facts

Say = Callable[[str], None]
COMMAND = "rebucket"
REBUCKETING = "_rebucketing"  # below a table's folder, where Delta looks past what begins with an underscore
OF_MARK: Shape = {"from": int, "to": int}
WHAT_HELPS = "restore it from a backup, or store/ and lake/ whole as they were before the rebucketing, and give this command again"
BY_PERSON = tuple(name for name, schema in TABLES.items() if "bucket" in schema and "person" in schema)


def rebucket(workspace: Workspace, to: int | None, say: Say) -> Mapping[str, Any]:
    """Double the number of buckets; `to`: the number that there are to be, which may be there already. Returns both numbers, and files by table.

    Killed anywhere, the same command completes it. UsageError when `to` is neither, RefusedError while another command writes or a run is
    unfinished, or beyond the most buckets that there can be.
    """
    with only_compaction(workspace), only_writer(workspace):
        require_finished(workspace)
        catalog = begin(workspace, workspace.catalog(), to, say)
        before, after = catalog.buckets, catalog.buckets
        counted: dict[str, dict[str, int]] = {}
        amount = Amount()
        if workspace.rebucketing_file.exists():
            begun = document(workspace, workspace.rebucketing_file, OF_MARK, WHAT_HELPS)
            before, after = begun["from"], begun["to"]
            commands.give(workspace, COMMAND, {"from": before, "to": after})
            doubled = (
                catalog if catalog.buckets == after else replace(catalog, buckets=after, doublings=(*catalog.doublings, catalog.night))
            )
            counted, amount = renumber(workspace, doubled, say)
            renumber_commands(workspace, before, after)
            workspace.write_catalog(doubled)
            reach("rebucket.catalog")
            workspace.rebucketing_file.unlink()
            durable.sync_folder(workspace.store)
        if to not in (None, after):
            raise UsageError(f"--to {to}: the interrupted doubling to {after} buckets is complete now; give the command again")
        return {"before": before, "after": after, "tables": counted, "amount": amount}


def begin(workspace: Workspace, catalog: Catalog, to: int | None, say: Say) -> Catalog:
    """Write down what is to be done, unless that was done, or all is as wanted. Returns the catalog as it is then."""
    if workspace.rebucketing_file.exists():
        say("completing the interrupted rebucketing")
        return catalog
    require_agreement(workspace, catalog)
    if to == catalog.buckets:
        return catalog
    if to not in (None, 2 * catalog.buckets):
        raise UsageError(f"--to {to}: there are {catalog.buckets} buckets, which can be doubled to {2 * catalog.buckets}")
    if 2 * catalog.buckets > MOST_BUCKETS:
        raise RefusedError(f"there are {catalog.buckets} buckets, and {MOST_BUCKETS} at most")
    catalog = upgrade(workspace, catalog, say)
    durable.write_file(workspace.rebucketing_file, durable.to_json({"from": catalog.buckets, "to": 2 * catalog.buckets}))
    reach("rebucket.marked")
    return catalog


def renumber(workspace: Workspace, catalog: Catalog, say: Say) -> tuple[dict[str, dict[str, int]], Amount]:
    """Bring every table to a catalog's number of buckets that is not there yet. Returns files before and after by table, and what was written."""
    counted: dict[str, dict[str, int]] = {}
    amount = Amount()
    notes = workspace.staging / COMMAND
    pace.expect(notes, {COMMAND: len(BY_PERSON) + 1})
    for number, name in enumerate((*BY_PERSON, "totals")):
        folder = table_folder(workspace, name)
        live = tables.files(folder)
        if live and tables.doublings_of(folder) < len(catalog.doublings):
            say(f"{name}: {sum(file.rows for file in live):,} rows")
            durable.remove(folder / REBUCKETING)
            staged = recounted(workspace, catalog) if name == "totals" else renumbered(folder, TABLES[name], catalog)
            written = sum((file.amount for file in staged), Amount())
            put(folder, live, staged, TABLES[name], catalog)
            durable.remove(folder / REBUCKETING)
            counted[name] = {"files": len(live), "folds": len(staged)}
            amount += written
            pace.note(notes, COMMAND, f"{number:x}", Amount(1, written.rows, written.bytes))
    durable.remove(notes)
    return counted, amount


def renumbered(folder: Path, schema: pl.Schema, catalog: Catalog) -> list[TableFile]:
    """A table's rows with the buckets of their persons, staged as one fold of a new edition; whatever buckets they had."""
    joined, buckets = folds.units(tables.files(folder)), catalog.buckets
    pieces, edition = folds.ranges(joined, buckets), folds.next_edition(folder)
    staged = []
    for number, (first, last) in enumerate(pieces, 1):
        rows = with_settled(joined, schema, may_belong(first, last, catalog.first_buckets)).with_columns(
            bucket_of(pl.col("person"), buckets).alias("bucket")
        )
        here = rows.filter(pl.col("bucket").is_between(first, last)).sort(
            [name for name in SORTED_BY if name in schema], maintain_order=True
        )
        name = f"fold-{joined[0].first:06d}-{joined[-1].last:06d}-{number:04d}of{len(pieces):04d}-e{edition}.parquet"
        staged.append(tables.stage(folder / REBUCKETING / name, here))
        reach(f"rebucket.{folder.name}")
    return staged


def may_belong(first: int, last: int, fewest: int) -> pl.Expr:
    """Rows that may belong into some buckets, among however many they are numbered. fewest: buckets that there ever were."""
    low, high = (first % fewest, last % fewest) if last - first < fewest else (0, fewest - 1)
    return (pl.col("bucket") % fewest).is_between(low, high)


def with_settled(joined: list[folds.Unit], schema: pl.Schema, wanted: pl.Expr) -> pl.DataFrame:
    """Some rows of a table in the order in which they were written, with the night that wrote them."""
    on_disk = {**tables.stored(schema), SETTLED: pl.Int32()}
    frames = [pl.LazyFrame(schema=on_disk)]
    for unit in joined:
        for file in unit.files:
            rows = pl.scan_parquet(file.path).filter(wanted)
            rows = rows if unit.folded else rows.with_columns(pl.lit(unit.first, pl.Int32()).alias(SETTLED))
            frames.append(rows.select(list(on_disk)))
    return tables.collected(pl.concat(frames), [file.path for unit in joined for file in unit.files])


def recounted(workspace: Workspace, catalog: Catalog) -> list[TableFile]:
    """The control totals, with what has moved to new buckets added there and taken off where it was; the facts are renumbered already.

    Where the store has not what was put there, that stays to be seen, in the old buckets.
    """
    folder = table_folder(workspace, "totals")
    before = max(catalog.buckets_of(catalog.night), catalog.first_buckets << tables.doublings_of(folder))
    joined = folds.units(tables.files(folder))
    rows = with_settled(joined, TOTALS, pl.lit(True))
    facts = tables.files(table_folder(workspace, "facts"))
    measures = {FACTS_IN: "facts", DAYS_IN: "days"}
    added: list[tuple[int, int, str, str, int]] = []
    known = rows.filter(pl.col("bucket") >= before).group_by("bucket", "benefit", "measure").agg(pl.sum("count"))
    there = {(bucket, benefit, measure): count for bucket, benefit, measure, count in known.iter_rows()}
    for bucket in range(before, catalog.buckets):
        for of, benefit, *counts in (
            total_facts(tables.read(facts, TOTALLED, (bucket, bucket))).select("bucket", "benefit", *measures.values()).iter_rows()
        ):
            for measure, count in zip(measures, counts, strict=True):
                moved = int(count) - there.get((of, benefit, measure), 0)
                if moved:
                    added += [(catalog.night, of, benefit, measure, moved), (catalog.night, of % before, benefit, measure, -moved)]
    corrections = pl.DataFrame(added, schema=dict(TOTALS), orient="row").with_columns(pl.lit(catalog.night, pl.Int32()).alias(SETTLED))
    together = pl.concat([rows, corrections.select(rows.columns).cast(rows.schema)]).sort("bucket", maintain_order=True)
    edition = folds.next_edition(folder)
    name = f"fold-{joined[0].first:06d}-{joined[-1].last:06d}-0001of0001-e{edition}.parquet"
    staged = [tables.stage(folder / REBUCKETING / name, together)]
    reach("rebucket.totals")
    return staged


def put(folder: Path, live: tuple[TableFile, ...], staged: list[TableFile], schema: pl.Schema, catalog: Catalog) -> None:
    """Put renumbered files in the place of a table's, in one Delta commit that says how often the buckets were doubled."""
    added = [tables.move_in(file, folder / Path(file.path).name, schema) for file in staged]
    stamp = max(action.modification_time for action in added)
    removed = [RemoveAction(Path(file.path).name, True, stamp, place(file.path).stat().st_size) for file in live]
    actions: list[AddAction | RemoveAction] = [*removed, *added]
    tables.commit(folder, actions, schema, catalog.night, "append", folds.APPLICATION, {DOUBLINGS: len(catalog.doublings)})


def renumber_commands(workspace: Workspace, before: int, after: int) -> None:
    """Bring what commands name to the new buckets: their rows, and the slices of recalculations."""
    for path in sorted(commands.folder(workspace).glob("*.json")):
        value = document(workspace, path, OF_COMMAND)
        changed = {**value, "arguments": dict(value["arguments"])}
        if value["rows"]:
            file = workspace.root / value["rows"]["path"]
            rows = commands.rows_of(str(file))
            numbered = rows.with_columns(bucket_of(pl.col("person"), after).alias("bucket")).sort("bucket", maintain_order=True)
            if not numbered.equals(rows):
                data = io.BytesIO()
                numbered.write_parquet(data, compression="lz4", row_group_size=tables.ROW_GROUP_ROWS)
                durable.write_file(file, data.getvalue())
            bounds = {"first_bucket": numbered["bucket"][0], "last_bucket": numbered["bucket"][-1]} if numbered.height else {}
            changed["rows"] = value["rows"] | bounds
        if value["name"] == "recalculate":
            slices = [{bucket % before for bucket in of} for of in value["arguments"]["slices"]]
            changed["arguments"]["slices"] = [sorted([*of, *(bucket + before for bucket in of)]) for of in slices]
        if changed != value:
            durable.write_file(path, durable.to_json(changed))


def as_doubled(workspace: Workspace, catalog: Catalog) -> Catalog:
    """The catalog of the last run with the doublings that came after it."""
    for given in commands.read(workspace):
        if given.name == COMMAND and given.number > catalog.commands:
            catalog = replace(catalog, buckets=given.arguments["to"], doublings=(*catalog.doublings, catalog.night))
    return catalog


def was_doubled(workspace: Workspace) -> bool:
    """Whether the buckets were ever doubled."""
    return any(given.name == COMMAND for given in commands.read(workspace))
