"""From drops to pieces: verify each file once, link persons, cut everything by bucket (DESIGN 4, stage)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.plan import Plan, permission_frame
from pipelines.room import Room
from pipelines.side_by_side import Description
from schemas.arrival import arrival_of
from schemas.buckets import bucket_of
from schemas.config import REGISTER
from schemas.contracts import BY_DATASET, ORDER_LINE
from schemas.errors import BrokenFileError, VerificationError
from schemas.frames import FACTS, IDENTITIES, PERSONS, SUBSCRIPTION_KEY, SUBSCRIPTION_ROWS, SUBSCRIPTIONS, TABLES
from schemas.personnummer import valid
from storage import avro, csv_orders, tables
from storage.inbox import Drop, DropFile, check_file
from storage.pace import Amount
from storage.tables import TableFile
from transforms.carry_told import carry_told
from transforms.cut_chains import BROKEN_DROP, ChainState, Cut, Obstacle, cut, cut_gated, is_current
from transforms.link_persons import ALIASES, acceptable, alias_frame, link_persons, with_person
from transforms.take_orders import end_subscriptions

PIECE_ROWS = 262_144
LEAST_GROUP_ROWS = 2_048  # of a row group of a piece; smaller ones cost more than what they leave unread
MOVING = ("facts", "persons", "told", "quarantine", "members", "touched", "subscriptions", "recalculated")  # what is kept by person
WITH_THE_BITES = ("subscriptions", "touched", "told")  # of these, what moved is taken in with each bite, not as it lies
# A waiting order line. person: null when no valid number is given; line: unique in the night.
LINES = pl.Schema(
    {"bucket": pl.Int32(), "person": pl.String(), **ORDER_LINE.frame, "partner": pl.String(), "drop": pl.String(), "line": pl.Int64()}
)
ENDED = pl.Schema({name: SUBSCRIPTIONS[name] for name in SUBSCRIPTION_KEY})
WAITING_FACTS = pl.Schema({**FACTS, "drop_benefit": pl.String()})


@dataclass(frozen=True)
class FileTask(Description):
    """One file of a waiting drop. offset: rows of the drop's files before it."""

    ordinal: int
    file: DropFile
    place: int
    offset: int

    @property
    def units(self) -> int:
        """Its rows."""
        return self.file.rows


@dataclass(frozen=True)
class Examined(Description):
    """What the persons chain must know of one of its files before anything is cut."""

    ordinal: int
    offset: int
    rows: int
    rejected: int
    links: tuple[tuple[str, str], ...]
    fault: str = ""

    @property
    def amount(self) -> Amount:
        """Its rows."""
        return Amount(0, self.rows)


@dataclass(frozen=True)
class Linked(Description):
    """Who is who tonight. aliases: file of (number, person); moves: old key -> key; persons: what the persons chain consumed; moved: what the store
    holds under keys that ceased, by table; ended: SUBSCRIPTION_KEY of the subscriptions that end tonight, of persons who become one with another."""

    aliases: str
    moves: Mapping[str, str]
    persons: Cut
    obstacles: Mapping[str, Obstacle]
    rejected: Mapping[str, int]
    moved: Mapping[str, tuple[TableFile, ...]]
    ended: tuple[TableFile, ...] = ()

    def read_aliases(self) -> pl.DataFrame:
        """Who is who: transforms.link_persons.ALIASES."""
        return pl.read_parquet(self.aliases, schema=dict(ALIASES))

    def read_ended(self) -> pl.DataFrame:
        """What of them has ended: SUBSCRIPTION_KEY. A refresh of it is not the other's."""
        return tables.read(self.ended, ENDED)


@dataclass(frozen=True)
class Piece(Description):
    """A part of a file, sorted by bucket. broad: REFRESH lines that name no person, and so concern every bucket."""

    ordinal: int
    dataset: str
    file: TableFile
    broad: int = 0
    fault: str = ""

    @property
    def amount(self) -> Amount:
        """That of its file."""
        return self.file.amount


@dataclass(frozen=True)
class Choice(Description):
    """Which drops are judged tonight, as if no gate closed. cuts: by chain; pieces: by data set."""

    cuts: Mapping[str, Cut]
    orders: tuple[int, ...]
    faults: Mapping[str, Obstacle]
    pieces: Mapping[str, tuple[TableFile, ...]]
    broad: tuple[TableFile, ...]
    linked: Linked


def tasks(plan: Plan, dataset: str | None = None) -> Iterator[FileTask]:
    """The files of the waiting drops whose heads are sound."""
    for waiting in plan.waiting:
        offset = 0
        if waiting.drop.fault or dataset not in (None, waiting.drop.dataset):
            continue
        for place, file in enumerate(waiting.drop.files):
            yield FileTask(waiting.ordinal, file, place, offset)
            offset += file.rows


def rows_of(task: FileTask) -> int:
    """How much work a file is."""
    return task.file.rows


def batches(drop: Drop, file: DropFile, room: Room) -> Iterator[pl.DataFrame]:
    """A file's records, in pieces. BrokenFileError names drop and file, and what is wrong."""
    most = room.piece_rows(PIECE_ROWS)
    path = check_file(drop, file)
    rows = 0
    try:
        if path.suffix == ".csv" and drop.dataset == "orders":
            source: Iterable[pl.DataFrame] = [csv_orders.read(path)]
        else:
            source = avro.batches(path, BY_DATASET[drop.dataset], most, partial(room.require_block, f"drop '{drop.name}': {file.name}"))
        for batch in source:
            rows += batch.height
            yield batch
    except BrokenFileError as error:
        raise BrokenFileError(f"R2: drop '{drop.name}': {file.name}: {error}") from error
    if rows != file.rows:
        raise BrokenFileError(f"R2: drop '{drop.name}': {file.name} has {rows} rows, _drop.json says {file.rows}")


def examine(task: FileTask, plan: Plan) -> Examined:
    """Verify a file of register records and pick out its links."""
    links: list[tuple[str, str]] = []
    rows = rejected = 0
    try:
        for batch in batches(plan.by_ordinal(task.ordinal), task.file, plan.room):
            rows += batch.height
            good = batch.filter(acceptable(batch))
            rejected += batch.height - good.height
            links += good.filter(pl.col("former_personnummer").is_not_null()).select("personnummer", "former_personnummer").rows()
    except BrokenFileError as error:
        return Examined(task.ordinal, task.offset, 0, 0, (), str(error))
    return Examined(task.ordinal, task.offset, rows, rejected, tuple(links))


def faults_of_heads(plan: Plan) -> dict[str, Obstacle]:
    """Drops that are broken by their heads, or that an earlier attempt found an obstacle for."""
    faults = {waiting.drop.name: Obstacle(BROKEN_DROP, waiting.drop.fault) for waiting in plan.waiting if waiting.drop.fault}
    return faults | dict(plan.overruled)


def link(_: object, examined: Sequence[Examined], plan: Plan) -> Linked:
    """Consume the persons chain and say who is who (R11); move what the store holds under a key that ceased."""
    faults = faults_of_heads(plan)
    for seen in examined:
        if seen.fault:
            faults.setdefault(plan.by_ordinal(seen.ordinal).name, Obstacle(BROKEN_DROP, seen.fault))
    off = REGISTER in plan.conf.off
    state = plan.states.get(REGISTER, ChainState())
    rejected: Counter[str] = Counter()
    for seen in examined:
        rejected[plan.by_ordinal(seen.ordinal).name] += seen.rejected
    of_code = {name: {"INVALID_PERSONNUMMER": count} for name, count in rejected.items()}
    consumed, obstacles = cut_gated(state, [] if off else plan.of_chain(REGISTER), faults, of_code, plan.accepted)
    chosen = {candidate.ordinal for candidate in consumed.consumed}
    in_order = sorted((seen for seen in examined if seen.ordinal in chosen), key=lambda seen: (seen.ordinal, seen.offset))
    check_examined(consumed, in_order)
    links = pl.DataFrame(
        [pair for seen in in_order for pair in seen.links],
        schema={"personnummer": pl.String(), "former_personnummer": pl.String()},
        orient="row",
    )
    known = tables.newest(tables.read(plan.files["identities"], IDENTITIES), ["number"])
    linked = link_persons(dict(known.select("number", "person").iter_rows()), links)
    aliases = plan.staging / "identities" / "aliases.parquet"
    frame = alias_frame(linked.aliases)
    tables.scratch(aliases, frame)
    changed = frame.join(known.select("number", "person"), on=["number", "person"], how="anti")
    moved, ended = move(plan, linked.moves)
    if changed.height:
        staged = tables.stage(
            plan.staging / "tables" / "identities.parquet", changed.with_columns(pl.lit(plan.night, pl.Int32).alias("night"))
        )
        moved = {**moved, "identities": (staged,)}
    return Linked(str(aliases), linked.moves, consumed, obstacles, rejected, moved, ended)


def check_examined(consumed: Cut, examined: Sequence[Examined]) -> None:
    """Control totals: every row of the register's drops was examined. VerificationError names the drop."""
    for candidate in consumed.consumed:
        rows = sum(seen.rows for seen in examined if seen.ordinal == candidate.ordinal)
        if rows != candidate.rows:
            raise VerificationError(f"control totals: drop '{candidate.name}' has {candidate.rows} rows, {rows} were examined")


def move(plan: Plan, moves: Mapping[str, str]) -> tuple[dict[str, tuple[TableFile, ...]], tuple[TableFile, ...]]:
    """Rows of keys that ceased, under the key and in the bucket that took over, of the ledger what still counts (transforms.carry_told); and what
    ends of these persons tonight (`Linked.ended`)."""
    if not moves:
        return {}, ()
    keys = pl.DataFrame({"person": list(moves), "stays": list(moves.values())})
    ceased = in_buckets(moves, plan)
    of_both, going = standing_of(in_buckets({*moves, *moves.values()}, plan), plan)
    over = of_both.select(list(ENDED)).join(going, on=SUBSCRIPTION_KEY, how="anti")
    ended = (tables.scratch(plan.staging / "identities" / "ended.parquet", over),) if over.height else ()
    standing, active = (rows.join(ceased, on="person", how="semi", maintain_order="left") for rows in (of_both, going))
    moved: dict[str, tuple[TableFile, ...]] = {}
    for name in MOVING:
        schema = TABLES[name]
        if name == "subscriptions":
            rows = standing.with_columns(pl.lit(plan.night, pl.Int32()).alias("snapshot_night"))
        elif name == "told":
            rows = carry_told(tables.read_of(plan.files[name], schema, ceased), active, plan.night)
        elif name == "members":
            rows = places_kept(tables.read_of(plan.files[name], schema, ceased), active, plan.night)
        else:
            rows = tables.read_of(plan.files[name], schema, ceased)
        if rows.height:
            rows = rows.join(keys, on="person", maintain_order="left").with_columns(pl.col("stays").alias("person"))
            rows = rows.with_columns(bucket_of(pl.col("person"), plan.buckets).alias("bucket")).select(list(schema))
            rows = rows.sort("bucket", "person", maintain_order=True)
            moved[name] = (tables.stage(plan.staging / "tables" / f"{name}-moved.parquet", rows),)
    return moved, ended


def in_buckets(persons: Iterable[str], plan: Plan) -> pl.DataFrame:
    """(bucket, person) of some keys, sorted."""
    keys = pl.DataFrame({"person": list(persons)}, schema={"person": pl.String()})
    return keys.select(bucket_of(pl.col("person"), plan.buckets).alias("bucket"), "person").sort("bucket", "person")


def standing_of(who: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The subscriptions of some persons as last night left them (frames.SUBSCRIPTION_ROWS), and those of them that go on tonight (SUBSCRIPTIONS)."""
    standing = tables.newest(tables.read_of(plan.files["subscriptions"], SUBSCRIPTION_ROWS, who), SUBSCRIPTION_KEY)
    standing = standing.filter(~pl.col("gone"))
    return standing, going_on(standing, plan)


def going_on(standing: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Those of some subscriptions (frames.SUBSCRIPTION_ROWS) that do not end on the plan's date: frames.SUBSCRIPTIONS."""
    return end_subscriptions(standing.select(list(SUBSCRIPTIONS)), permission_frame(plan.conf), plan.business_date)


def places_kept(members: pl.DataFrame, active: pl.DataFrame, night: int) -> pl.DataFrame:
    """The places in refreshes of keys that ceased, as of tonight: those that wait, of subscriptions that go on (R17).

    As of tonight, so that they hold against the places that the key which takes over has had in the same refreshes, and has no more.
    """
    waiting = tables.newest(members, ("refresh", *SUBSCRIPTION_KEY)).filter("waits")
    return waiting.join(active, on=SUBSCRIPTION_KEY, how="semi", maintain_order="left").with_columns(
        pl.lit(night, pl.Int32()).alias("night")
    )


def cut_file(task: FileTask, linked: Linked, plan: Plan) -> list[Piece]:
    """Verify a file and cut it into pieces sorted by bucket; a broken file is one piece that says so."""
    drop = plan.by_ordinal(task.ordinal)
    aliases = linked.read_aliases()
    pieces: list[Piece] = []
    row = task.offset
    try:
        for number, batch in enumerate(batches(drop, task.file, plan.room)):
            cut_rows = cut_batch(batch, drop, arrival_of(plan.night, task.ordinal) + row, aliases, plan)
            broad = cut_rows.filter(is_broad()).height if drop.dataset == "orders" else 0
            path = plan.staging / "pieces" / f"{task.ordinal:05d}-{task.place:05d}-{number:05d}.parquet"
            pieces.append(Piece(task.ordinal, drop.dataset, tables.scratch(path, cut_rows, group_rows(plan.buckets)), broad))
            row += batch.height
    except BrokenFileError as error:
        return [Piece(task.ordinal, drop.dataset, TableFile("", 0, 0, 0), fault=str(error))]
    return pieces


def group_rows(buckets: int) -> int:
    """Rows of a row group of a piece, of which a bite wants a bucket or two: a few buckets' rows. With as many as elsewhere, a population of ten
    millions in 512 buckets has each of its bites decode thirty times what it wants (docs/benchmarks.md)."""
    return max(LEAST_GROUP_ROWS, min(tables.ROW_GROUP_ROWS, 4 * PIECE_ROWS // buckets))


def is_broad() -> pl.Expr:
    """An order line that asks for a refresh and names no person."""
    return (pl.col("action") == "REFRESH") & pl.col("personnummer").is_null()


def cut_batch(batch: pl.DataFrame, drop: Drop, arrival: int, aliases: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Records with person, bucket and arrival, sorted by bucket; register records that R11 rejects are left out."""
    at = pl.int_range(pl.len(), dtype=pl.Int64) + arrival
    if drop.dataset == "orders":
        text = pl.col("personnummer").replace({"": None})
        batch = batch.with_columns(
            text.alias("personnummer"), pl.lit(drop.partner).alias("partner"), pl.lit(drop.name).alias("drop"), at.alias("line")
        )
        schema, key = LINES, pl.coalesce("person", pl.lit(""))
    else:
        batch = batch.with_columns(at.alias("arrival"))
        schema, key = (PERSONS, pl.col("person")) if drop.dataset == "persons" else (WAITING_FACTS, pl.col("person"))
    if drop.dataset == "persons":
        batch = batch.filter(acceptable(batch))
    if drop.dataset == "facts":
        batch = batch.with_columns(pl.lit(drop.benefit).alias("drop_benefit"))
    keyed = with_person(batch, aliases)
    if drop.dataset == "orders":
        keyed = keyed.with_columns(pl.when(valid(pl.col("personnummer"))).then("person").alias("person"))
    keyed = keyed.with_columns(bucket_of(key, plan.buckets).alias("bucket"))
    return keyed.select(list(schema)).sort("bucket", maintain_order=True)


def choose(_: object, pieces: Sequence[Piece], linked: Linked, plan: Plan) -> Choice:
    """Cut every chain at its first broken drop or gap; the gates come when the rest is judged."""
    faults = faults_of_heads(plan) | dict(linked.obstacles)
    for piece in sorted(pieces, key=lambda piece: piece.ordinal):
        if piece.fault:
            faults.setdefault(plan.by_ordinal(piece.ordinal).name, Obstacle(BROKEN_DROP, piece.fault))
    cuts = {REGISTER: linked.persons}
    for chain in plan.conf.benefits:
        cuts[chain] = cut(plan.states.get(chain, ChainState()).last, plan.of_chain(chain), faults)
    current = is_current(linked.persons, plan.states.get(REGISTER, ChainState()), plan.business_date)
    orders = tuple(
        waiting.ordinal for waiting in plan.waiting if current and waiting.drop.dataset == "orders" and waiting.drop.name not in faults
    )
    taken = {candidate.ordinal for each in cuts.values() for candidate in each.consumed} | set(orders)
    kept = [piece for piece in sorted(pieces, key=lambda piece: Path(piece.file.path).name) if piece.ordinal in taken and not piece.fault]
    by_dataset = {name: tuple(piece.file for piece in kept if piece.dataset == name) for name in BY_DATASET}
    return Choice(cuts, orders, faults, by_dataset, tuple(piece.file for piece in kept if piece.broad), linked)
