"""A settled night once more: what it put into each table, from its commit file, the drops that it consumed and the deliveries that it published.

Orders, facts and register records go through the same steps as in their night. What partners were told is never computed again: it is read from
the outbox, so that a later version of the rules does not change what was said.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.bites import Bite, split_buckets
from pipelines.decide import decide_refreshes
from pipelines.deliver import stage_changes
from pipelines.delivered import READ_BACK_ROWS, digested
from pipelines.ingest import MOVING, WITH_THE_BITES, Choice, Linked, cut_file, examine, move, tasks
from pipelines.plan import Decisions, Plan, Waiting, read_decisions, read_states
from pipelines.rebucket import was_doubled
from pipelines.recalculation import recalculate_bite
from pipelines.take import Intake, pick, take_facts, take_for
from pipelines.view import DAYS_IN, FACTS_IN, TOTALLED
from schemas.buckets import bucket_of, night_of
from schemas.config import Conf
from schemas.contracts import DELIVERY_RECORD
from schemas.errors import VerificationError
from schemas.frames import (
    IDENTITIES,
    PERSONS,
    SUBSCRIPTION_KEY,
    SUBSCRIPTION_ROWS,
    SUBSCRIPTIONS,
    TABLES,
    TOLD,
    TOTALS,
    TOUCHED,
)
from schemas.manifest import Manifest
from storage import avro, erasures, folds, outbox, tables
from storage.agreement import table_folder
from storage.inbox import Drop, scan
from storage.tables import TableFile
from storage.workspace import Catalog, Workspace
from transforms.carry_told import with_carried
from transforms.compare import learn
from transforms.cut_chains import Cut
from transforms.link_persons import alias_frame, link_persons, with_person
from transforms.total import total_facts

# Each can be made anew when those before it are.
ORDER = (
    "runs",
    "drops",
    "chains",
    "recalculations",
    "persons",
    "identities",
    "facts",
    "quarantine",
    "recalculated",
    "told",
    "subscriptions",
    "refreshes",
    "members",
    "totals",
    "touched",
)
FROM_OUTBOX = frozenset({"told", "subscriptions", "refreshes", "members"})
UNCOUNTED = frozenset({"totals", "touched"})  # made anew as one sum, and as more than was there: not row by row
# What a delivered record says of its group and its fact. person: by the numbers known in its night.
SAID = pl.Schema(
    {
        **{name: TOLD[name] for name in ("bucket", "partner", "person", "benefit", "fact_id")},
        "action": pl.String(),
        "personnummer": pl.String(),
        "former_personnummer": pl.String(),
        "protected": pl.Boolean(),
        **{name: TOLD[name] for name in ("night", "digest", "version", "case_id", "kind", "sequence", "record_no")},
    }
)


class UnreachableError(Exception):
    """What a night needs is not there any more. The text says what, and what to do."""


@dataclass(frozen=True)
class PastNight:
    """A settled night. document: its commit file; newest: no later one is settled; notes: what could not be made anew as
    it was, of earlier nights too."""

    workspace: Workspace
    document: Mapping[str, Any]
    newest: bool
    notes: list[str]

    @property
    def night(self) -> int:
        """Its number."""
        return int(self.document["night"])

    def after(self, name: str) -> tuple[TableFile, ...]:
        """The files of a table after the night, as far as they were taken in again."""
        return self.between(name, 0, self.night)

    def before(self, name: str) -> tuple[TableFile, ...]:
        """The files of a table before the night."""
        return self.between(name, 0, self.night - 1)

    def added(self, name: str) -> tuple[TableFile, ...]:
        """The files that the night added to a table."""
        return self.between(name, self.night, self.night)

    def between(self, name: str, first: int, last: int) -> tuple[TableFile, ...]:
        """What some nights wrote into a table."""
        folder = table_folder(self.workspace, name)
        files = folds.between(tables.files(folder), first, last, self.staging / "cut" / name)
        return tuple(map(self.numbered, files)) if {"bucket", "person"} <= set(TABLES[name]) else tuple(files)

    @cached_property
    def doubled(self) -> bool:
        """Whether buckets were ever doubled, so that rows may lie in other ones than those of the night."""
        return was_doubled(self.workspace)

    def numbered(self, file: TableFile) -> TableFile:
        """A file with its rows in the buckets that their persons had in the night."""
        if not self.doubled:
            return file
        path = self.staging / "numbered" / Path(file.path).parent.name / Path(file.path).name
        rows = pl.read_parquet(file.path).with_columns(bucket_of(pl.col("person"), self.buckets).alias("bucket"))
        return tables.scratch(path, rows.sort("bucket", maintain_order=True))

    @property
    def buckets(self) -> int:
        """How many buckets there were."""
        return int(self.document["catalog"]["buckets"])

    @property
    def staging(self) -> Path:
        """Where the night is made anew."""
        return self.workspace.staging / f"rebuild-{self.night:06d}"

    @cached_property
    def plan(self) -> Plan:
        """The night's plan. waiting: the consumed drops that still lie in the inbox as they were."""
        row, catalog = self.document["rows"]["runs"][0], Catalog.from_json(self.document["catalog"])
        files = {name: self.before(name) for name in TABLES}
        business_date = date.fromisoformat(row["business_date"])
        with_runs = {**files, "runs": tables.files(table_folder(self.workspace, "runs"))}
        return Plan(
            root=str(self.workspace.root),
            business_date=business_date,
            night=self.night,
            run=self.staging.name,
            buckets=self.buckets,
            first_buckets=catalog.first_buckets,
            conf=Conf.model_validate(self.document["conf"]),
            waiting=tuple(Waiting(drop, ordinal) for ordinal, drop in self.consumed.items() if drop),
            states=read_states(files, self.night - 1),
            files=files,
            deliveries=catalog.deliveries,
            notes=(),
            overruled={},
            decisions=self.numbered_decisions(read_decisions(self.workspace, with_runs, self.night - 1, business_date, row["commands"])),
        )

    def numbered_decisions(self, given: Decisions) -> Decisions:
        """What commands named, in the buckets of the night."""
        return replace(
            given,
            refreshes=tuple(replace(each, rows=self.numbered(each.rows) if each.rows else None) for each in given.refreshes),
            heals=tuple(replace(each, rows=self.numbered(each.rows)) for each in given.heals),
            healing=tuple(map(self.numbered, given.healing)),
        )

    @cached_property
    def consumed(self) -> dict[int, Drop | None]:
        """The drops that the night consumed, by ordinal; None for one that is not in the inbox any more, or is another one."""
        there = {drop.name: drop for drop in scan(self.workspace.inbox) if isinstance(drop, Drop)}
        rows = {row["ordinal"]: row for row in self.document["rows"]["drops"]}
        drops = {ordinal: there.get(row["drop"]) for ordinal, row in rows.items()}
        return {ordinal: drop if drop and drop.sha256 == rows[ordinal]["sha256"] else None for ordinal, drop in sorted(drops.items())}

    @property
    def withheld(self) -> set[str]:
        """The chains that were withheld."""
        return {row["chain"] for row in self.document["rows"]["chains"] if row["code"]}

    @property
    def current(self) -> list[str]:
        """The benefits that were not withheld."""
        return [benefit for benefit in self.plan.conf.benefits if benefit not in self.withheld]

    def need(self, dataset: str) -> None:
        """Raise UnreachableError when a consumed drop of a data set is gone."""
        for row in self.document["rows"]["drops"]:
            if row["dataset"] == dataset and self.consumed[row["ordinal"]] is None:
                raise UnreachableError(
                    f"drop '{row['drop']}' is not in the inbox any more as it was consumed: put it back there, or restore the table from a backup"
                )

    def rows_of(self, name: str) -> list[TableFile]:
        """What the night put into a table, staged. VerificationError when these are not as many rows as its commit file says."""
        files = self.make(name)
        expected, rows = sum(file["rows"] for file in self.document["tables"].get(name, ())), sum(file.rows for file in files)
        merged = name == "members" and bool(self.linked.moves)  # older releases moved all places in refreshes
        uncounted = (
            name in UNCOUNTED or merged or (name in FROM_OUTBOX and self.notes) or name in erasures.thinned(self.workspace, self.night)
        )
        if rows != expected and not uncounted:
            raise VerificationError(
                f"rebuild: {name}, night {self.night}: {expected} rows were committed, {rows} can be made anew: restore it from a backup"
            )
        return files

    def make(self, name: str) -> list[TableFile]:
        """What the night put into a table, staged."""
        if name in self.document["rows"]:
            return [self.stage(name, from_json(self.document["rows"][name], TABLES[name]))]
        makers = {
            "persons": self.make_persons,
            "identities": self.make_identities,
            "told": self.make_told,
            "totals": self.make_totals,
            "touched": self.make_touched,
        }
        if name in makers:
            made = makers[name]()
        elif name in ("facts", "quarantine", "recalculated"):
            made = self.judged.get(name, [])
        else:
            made = self.ordered.get(name, [])
        moved = self.linked.moved.get(name, ()) if name in MOVING and name not in WITH_THE_BITES else ()
        return [*moved, *made]

    def stage(self, name: str, rows: pl.DataFrame) -> TableFile:
        """Write rows under staging."""
        return tables.stage(self.plan.staging / "made" / f"{name}.parquet", rows)

    # Register and identities

    @cached_property
    def linked(self) -> Linked:
        """Who was who, and what moved (R11); from the register's records of the night."""
        known = dict(tables.newest(tables.read(self.before("identities"), IDENTITIES), ["number"]).select("number", "person").iter_rows())
        linked = link_persons(known, self.links())
        aliases = self.plan.staging / "aliases.parquet"
        tables.stage(aliases, alias_frame(linked.aliases))
        return Linked(str(aliases), linked.moves, Cut((), None), {}, {}, *move(self.plan, linked.moves))

    def links(self) -> pl.DataFrame:
        """The night's links, as they arrived."""
        pair = pl.Schema({"personnummer": pl.String(), "former_personnummer": pl.String()})
        if self.added("persons") or not self.document["tables"].get("persons"):
            rows = tables.read(self.added("persons"), PERSONS).filter(night_of(pl.col("arrival")) == self.night)
            return rows.filter(pl.col("former_personnummer").is_not_null()).unique("arrival").sort("arrival").select(list(pair))
        self.need("persons")
        seen = [examine(task, self.plan) for task in tasks(self.plan, "persons")]
        return pl.DataFrame([link for each in seen for link in each.links], schema=pair, orient="row")

    def make_persons(self) -> list[TableFile]:
        """The register's records of the night."""
        self.need("persons")
        pieces = [piece.file for task in tasks(self.plan, "persons") for piece in cut_file(task, self.linked, self.plan)]
        return [self.stage("persons", tables.read(pieces, PERSONS).sort("bucket", "person", "arrival"))]

    def make_identities(self) -> list[TableFile]:
        """The numbers that the night linked."""
        known = tables.newest(tables.read(self.before("identities"), IDENTITIES), ["number"])
        now = self.linked.read_aliases()
        changed = now.join(known.select("number", "person"), on=["number", "person"], how="anti")
        return [self.stage("identities", changed.with_columns(pl.lit(self.night, pl.Int32).alias("night")))] if changed.height else []

    # Facts and quarantine

    @cached_property
    def bites(self) -> list[Bite]:
        """The buckets in runs that fit memory."""
        return split_buckets(self.plan.buckets, sum(file.rows for file in self.after("facts")))

    @cached_property
    def judged(self) -> dict[str, list[TableFile]]:
        """The night's facts, judged again, and its slices of recalculations, computed again."""
        self.need("facts")
        pieces = tuple(piece.file for task in tasks(self.plan, "facts") for piece in cut_file(task, self.linked, self.plan))
        choice = Choice({}, (), {}, {"persons": (), "facts": pieces, "orders": ()}, (), self.linked)
        found: dict[str, list[TableFile]] = {}
        for bite in self.bites:
            files: dict[str, TableFile] = {}
            take_facts(bite, choice, self.plan, files)
            recalculate_bite(bite, self.withheld, self.linked.aliases, self.plan, partial(self.came, files), files)
            for name, file in files.items():
                found.setdefault(name, []).append(file)
        return found

    def came(self, files: Mapping[str, TableFile], name: str) -> list[TableFile]:
        """What of a table came with the night. files: what is judged of a bite."""
        if name == "persons":
            return list(self.added("persons"))
        return [*self.linked.moved.get(name, ()), *pick(files, name)]

    # What was said

    @cached_property
    def said(self) -> list[TableFile]:
        """The records of the night's deliveries: SAID, by part and batch. What is not in the outbox any more is noted."""
        staged: list[TableFile] = []
        for partner, delivery in self.document["deliveries"].items():
            folder = self.workspace.outbox / partner / outbox.folder_name(delivery["sequence"])
            if folder.exists() and not outbox.is_erased(folder):
                check_delivery(folder, partner, delivery)
                staged += self.read_delivery(folder, partner, delivery["sequence"])
            elif delivery["records"]:
                self.notes.append(
                    f"outbox/{partner}/{folder.name} is not there any more: what it told could not be rebuilt; "
                    f"`lefi refresh {self.workspace.root} --partner {partner}` sends all of it anew"
                )
        return staged

    def read_delivery(self, folder: Path, partner: str, sequence: int) -> list[TableFile]:
        """The records of one delivery, staged."""
        aliases = self.linked.read_aliases()
        staged = []
        for part in sorted(folder.glob("part-*.avro")):
            for number, batch in enumerate(avro.batches(part, DELIVERY_RECORD, READ_BACK_ROWS)):
                rows = digested(with_person(batch, aliases))
                told = rows.with_columns(
                    bucket_of(pl.col("person"), self.plan.buckets).alias("bucket"),
                    pl.lit(partner).alias("partner"),
                    pl.lit(sequence).alias("sequence"),
                    pl.lit(self.night).alias("night"),
                    pl.when(pl.col("action").cast(pl.String()) != "ANNULLED").then("digest").alias("digest"),
                )
                path = self.plan.staging / "said" / f"{partner}-{part.stem}-{number:05d}.parquet"
                staged.append(tables.stage(path, told.select(pl.col(name).cast(dtype) for name, dtype in SAID.items()).sort("bucket")))
        return staged

    def make_told(self) -> list[TableFile]:
        """The ledger's rows: one per delivered record about a fact, and what was carried over to the persons who took over."""
        return [
            tables.stage(self.plan.staging / "made" / f"told-{bite.name}.parquet", rows)
            for bite in self.bites
            if (rows := self.ledger_of(bite)).height
        ]

    def ledger_of(self, bite: Bite) -> pl.DataFrame:
        """What the night put into the ledger of some buckets."""
        said = self.said_in(bite)
        told = said.filter(pl.col("fact_id").is_not_null()).select(list(TOLD))
        return with_carried(told, tables.read(self.linked.moved.get("told", ()), TOLD, bite.buckets), said)

    def said_in(self, bite: Bite) -> pl.DataFrame:
        """SAID of some buckets."""
        return tables.read(self.said, SAID, bite.buckets)

    # Subscriptions and queues

    @cached_property
    def ordered(self) -> dict[str, list[TableFile]]:
        """The night's orders taken again, and what its deliveries made of the groups: subscriptions and the queue of refreshes."""
        self.need("orders")
        pieces = [piece for task in tasks(self.plan, "orders") for piece in cut_file(task, self.linked, self.plan)]
        by_dataset: dict[str, tuple[TableFile, ...]] = {"persons": (), "facts": (), "orders": tuple(piece.file for piece in pieces)}
        came = {name: self.added(name) for name in ("persons", "facts", "quarantine")}
        choice = Choice(
            {}, (), {}, by_dataset, tuple(p.file for p in pieces if p.broad), replace(self.linked, moved={**self.linked.moved, **came})
        )
        intakes = [take_for(bite, None, choice, self.plan) for bite in self.bites]
        found = {name: [file] for name, file in decide_refreshes(intakes, self.current, self.plan).files.items()}
        for intake in intakes:
            files: dict[str, TableFile] = {}
            self.follow(intake, files)
            found.setdefault("subscriptions", []).extend(pick(files, "subscriptions"))
        return found

    def follow(self, intake: Intake, files: dict[str, TableFile]) -> None:
        """Bring the groups of a bite to what their partners knew after the night; stage those that changed."""
        groups = tables.read([intake.subscriptions], SUBSCRIPTIONS, intake.bite.buckets)
        known = know_again(groups, self.said_in(intake.bite), self.current, self.night)
        stage_changes(intake.bite, self.plan, groups, known, files)

    # What is not made row by row

    def make_totals(self) -> list[TableFile]:
        """In the newest night, what the store holds beyond the totals that are known: so that both agree from here on. Before it, nothing."""
        if not self.newest:
            return []
        known = tables.read(self.before("totals"), TOTALS).filter(pl.col("measure").is_in([FACTS_IN, DAYS_IN]))
        held = [total_facts(tables.read(self.after("facts"), TOTALLED, bite.buckets)) for bite in self.bites]
        stored = pl.concat(held).rename({"facts": FACTS_IN, "days": DAYS_IN}).unpivot(index=["bucket", "benefit"], variable_name="measure")
        place = ["bucket", "benefit", "measure"]
        before = known.group_by(place).agg(pl.col("count").sum().alias("before"))
        rows = stored.join(before, on=place, how="left").with_columns(
            (pl.col("value") - pl.col("before").fill_null(0)).alias("count"), pl.lit(self.night, pl.Int32).alias("night")
        )
        self.notes.append("totals: made anew as one sum by bucket and benefit, from what the store holds")
        return [self.stage("totals", rows.filter(pl.col("count") != 0).select(list(TOTALS)).sort(place))]

    def make_touched(self) -> list[TableFile]:
        """Every pair of a withheld benefit that somebody subscribes to: more than may have changed, which comparing again does not show."""
        if not self.newest:
            return []
        rows = tables.newest(tables.read(self.after("subscriptions"), SUBSCRIPTION_ROWS), SUBSCRIPTION_KEY)
        waiting = rows.filter(~pl.col("gone"), ~pl.col("benefit").is_in(self.current)).select(list(TOUCHED)).unique().sort(list(TOUCHED))
        return [self.stage("touched", waiting)] if waiting.height else []


def from_json(rows: Sequence[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    """Rows of a commit file as a frame; there, dates are texts."""
    dates = [name for name, dtype in schema.items() if dtype == pl.Date]
    frame = pl.DataFrame(rows, schema={**schema, **dict.fromkeys(dates, pl.String())}, orient="row")
    return frame.with_columns(pl.col(dates).str.to_date())


def check_delivery(folder: Path, partner: str, delivery: Mapping[str, Any]) -> None:
    """A delivery must be the one that was published, byte for byte. VerificationError names what is not."""
    manifest = Manifest.from_json((folder / outbox.MANIFEST).read_bytes())
    wrong = [entry.name for entry in manifest.files if hashlib.sha256((folder / entry.name).read_bytes()).hexdigest() != entry.sha256]
    if manifest.digest() != delivery["digest"] or wrong:
        raise VerificationError(f"outbox/{partner}/{folder.name}: {(*wrong, 'manifest.json')[0]} is not as it was published")


def know_again(groups: pl.DataFrame, said: pl.DataFrame, current: Sequence[str], night: int) -> pl.DataFrame:
    """The groups of which a night's records told something new as a whole, with that: what `compare.know` knew, read from the deliveries.

    groups: frames.SUBSCRIPTIONS before the records; said: SAID; current: benefits that were not withheld.
    """
    of_group = pl.col("action").is_in(["SNAPSHOT", "EMPTY", "DEVIATION"])
    named_first = (
        pl.col("former_personnummer").is_null(),
        "record_no",
    )  # of a snapshot under several numbers the one that names a former one
    last = (
        said.filter(of_group)
        .sort(*named_first)
        .group_by(SUBSCRIPTION_KEY, maintain_order=True)
        .agg(
            (pl.first("action") != "DEVIATION").alias("snapped"),
            (pl.first("action") == "DEVIATION").alias("begun"),
            pl.first("personnummer"),
            pl.first("protected").alias("flag"),
        )
    )
    healed = pl.col("heal_due") & pl.col("benefit").is_in(list(current))
    known = groups.join(last, on=SUBSCRIPTION_KEY, how="left", maintain_order="left").filter(pl.col("snapped").is_not_null() | healed)
    return learn(known.with_columns(pl.col("snapped", "begun").fill_null(False)), night)
