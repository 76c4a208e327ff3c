"""delivery = visible - told: the one comparison that everything comes from (R21-R27, R37).

A *group* is (partner, person, benefit) with an active subscription. Groups and facts are joined by row numbers, so that texts and windows are
moved once, when the records are put together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from schemas.buckets import FIRST_RECORD_NO
from schemas.contracts import DELIVERY_RECORD
from schemas.frames import ACTION, SUBSCRIPTIONS, TOLD, TRIGGER

OF_A_FACT = ("period_from", "period_to", "amount", "extent_permille", "outcome", "status", "country", "refers_to", "units")
ORDER = ("partner", "bucket", "personnummer", "benefit", "period_from", "fact_id")
RECORDS = pl.Schema({"bucket": pl.Int32(), "partner": pl.String(), "person": pl.String(), **DELIVERY_RECORD.frame})
ROW = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("partner", "bucket")
RECORD_NO = (pl.col("bucket").cast(pl.Int64) * FIRST_RECORD_NO + ROW).alias("record_no")  # of records in their order
DEVIATION_TEXTS = {
    "PERIOD_MISMATCH": "The payment's period lies outside the decisions of its case.",
    "NO_COMPENSATED_DAYS": "No day of the payment's period is compensated.",
    "DAY_COUNT_MISMATCH": "The source states another number of days than the windows hold.",
    "UNKNOWN_REFERENCE": "The claim does not refer to a payment that is held.",
}
FREEZE_TEXT = "A record about this person and benefit was rejected; nothing more is delivered until it is put right."

# What happens to one fact, or to a group as a whole. group, fact: row numbers (fact null when no held fact is shown).
EVENTS = pl.Schema(
    {
        "group": pl.UInt32(),
        "fact": pl.UInt32(),
        "action": ACTION,
        "trigger": TRIGGER,
        "number": pl.String(),
        "former_personnummer": pl.String(),
        "fact_id": pl.String(),
        "case_id": pl.String(),
        "version": pl.Int32(),
        "kind": DELIVERY_RECORD.frame["kind"],
        "reason": pl.String(),
        "sequence": pl.Int64(),
        "record_no": pl.Int64(),
        "code": pl.String(),
    }
)


@dataclass(frozen=True)
class Compared:
    """records: RECORDS in delivery order, numbered; subscriptions: those whose state changed; told: new rows of the ledger."""

    records: pl.DataFrame
    subscriptions: pl.DataFrame
    told: pl.DataFrame


def join(parts: Sequence[Compared]) -> Compared:
    """What was compared in parts, each of other persons of the same buckets, as if all had been compared at once."""
    if len(parts) == 1:
        return parts[0]
    records = pl.concat([part.records for part in parts]).sort(*ORDER, nulls_last=False)
    records = records.with_columns(RECORD_NO)
    key = ["partner", "person", "benefit", "fact_id"]
    told = pl.concat([part.told for part in parts]).drop("record_no").join(records.select(*key, "record_no"), on=key)
    subscriptions = pl.concat([part.subscriptions for part in parts])
    return Compared(records, subscriptions, told.select(list(TOLD)).sort("bucket", "person", "benefit", "fact_id", "partner"))


def events(**columns: pl.Expr) -> list[pl.Expr]:
    """The columns of EVENTS, null where nothing is given."""
    return [columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in EVENTS.items()]


def compare(
    groups: pl.DataFrame,
    named: pl.DataFrame,
    contents: pl.DataFrame,
    held: pl.DataFrame,
    told: pl.DataFrame,
    gone: pl.DataFrame,
    heals: pl.DataFrame,
    units: Mapping[str, str],
    sequences: Mapping[str, int],
    night: int,
) -> Compared:
    """Say to each group what it does not know yet.

    groups: frames.SUBSCRIPTIONS with `in_slice` (a refresh's turn) and `frozen` (code of the rejection that freezes it, or null);
    named: name_persons.NAMED of their persons; contents: held, not withdrawn facts with windows, units, deviation, digest;
    held: frames.FACTS, withdrawn ones too; told: frames.TOLD, the newest row of each fact; gone: retract.gone_reasons of their facts;
    heals: (partner, person, benefit, fact_id) of the differences that reconcile found;
    units: benefit -> unit; sequences: partner -> tonight's sequence.
    """
    groups = with_trigger(
        groups.join(named.select("person", "personnummer", pl.col("protected").alias("flag")), on="person", maintain_order="left")
    )
    groups = groups.with_row_index("group")
    contents = contents.with_row_index("fact")
    visible = show(groups, contents)
    happened = pl.concat([snapshots(groups, visible), differences(groups, visible, contents, held, told, gone, heals), freezes(groups)])
    records = assemble(happened, groups, contents, units)
    return Compared(
        records.select(list(RECORDS)),
        know(groups, night),
        remember(records, sequences, night),
    )


def with_trigger(groups: pl.DataFrame) -> pl.DataFrame:
    """Add `snapshot`: the trigger of the snapshot that is due (R23), else null; and `others`: the other numbers told before, lowest first."""
    number = pl.col("personnummer")
    renamed = (pl.col("numbers").list.len() != 1) | (pl.col("numbers").list.first() != number)
    due = (
        pl.when(pl.col("frozen").is_not_null())
        .then(None)
        .when("initial_due")
        .then(pl.lit("INITIAL"))
        .when(pl.col("deviation_number").is_not_null())
        .then(pl.lit("HEAL"))
        .when(renamed | pl.col("protected").ne_missing(pl.col("flag")))
        .then(pl.lit("CHANGE"))
        .when("in_slice")
        .then(pl.lit("REFRESH"))
        .cast(TRIGGER)
    )
    others = pl.col("numbers").list.set_difference(pl.concat_list(number)).list.sort()
    return groups.with_columns(due.alias("snapshot"), others.alias("others"))


def show(groups: pl.DataFrame, contents: pl.DataFrame) -> pl.DataFrame:
    """(group, fact) of every visible fact (R21)."""
    watching = groups.select("group", "person", "benefit", "from_date")
    pairs = contents.select("fact", "person", "benefit", "period_to").join(watching, on=["person", "benefit"])
    return pairs.filter(pl.col("period_to").is_null() | (pl.col("period_to") >= pl.col("from_date"))).select("group", "fact")


def snapshots(groups: pl.DataFrame, visible: pl.DataFrame) -> pl.DataFrame:
    """R23: everything visible, or EMPTY; the lowest other number goes with it, each further one gets an EMPTY of its own."""
    due = groups.filter(pl.col("snapshot").is_not_null()).select(
        "group", "snapshot", "others", pl.col("others").list.first().alias("former"), pl.col("personnummer").alias("number")
    )
    facts = due.join(visible, on="group", how="left")
    action = pl.when(pl.col("fact").is_null()).then(pl.lit("EMPTY")).otherwise(pl.lit("SNAPSHOT"))
    shared = {"group": pl.col("group"), "trigger": pl.col("snapshot"), "number": pl.col("number")}
    current = facts.select(events(fact=pl.col("fact"), action=action, former_personnummer=pl.col("former"), **shared))
    further = due.select("group", "snapshot", pl.col("others").list.slice(1).alias("number")).explode("number", empty_as_null=False)
    return pl.concat([current, further.select(events(action=pl.lit("EMPTY"), **shared))])


def differences(
    groups: pl.DataFrame,
    visible: pl.DataFrame,
    contents: pl.DataFrame,
    held: pl.DataFrame,
    told: pl.DataFrame,
    gone: pl.DataFrame,
    heals: pl.DataFrame,
) -> pl.DataFrame:
    """R24: NEW, CORRECTED and ANNULLED of the groups that get no snapshot."""
    steady = groups.filter(pl.col("snapshot").is_null(), pl.col("frozen").is_null())
    steady = steady.select("group", "partner", "person", "benefit", "snapshot_night", "personnummer", "heal_due")
    known = (
        told.join(steady, on=["partner", "person", "benefit"])
        .filter(pl.col("night") >= pl.col("snapshot_night"), pl.col("digest").is_not_null())
        .select("group", "fact_id", "digest", "version", "case_id", "kind", "sequence", "record_no")
    )
    seen = (
        visible.join(steady.select("group"), on="group", how="semi")
        .join(contents.select("fact", "fact_id", "digest"), on="fact")
        .rename({"digest": "digest_now"})
    )
    both = seen.join(known, on=["group", "fact_id"], how="full", coalesce=True).filter(pl.col("digest").ne_missing(pl.col("digest_now")))
    both = both.join(steady.select("group", "partner", "person", "benefit", "personnummer", "heal_due"), on="group")
    found = heals.with_columns(healing=pl.lit(True))
    both = both.join(found, on=["partner", "person", "benefit", "fact_id"], how="left").with_columns(pl.col("healing") & pl.col("heal_due"))
    ceased = both.filter(pl.col("fact").is_null()).join(
        held.select("person", "benefit", "fact_id", *(pl.col(c).alias(f"{c}_held") for c in ("case_id", "version", "kind", "reason"))),
        on=["person", "benefit", "fact_id"],
        how="left",
    )
    shared = {
        "group": pl.col("group"),
        "trigger": pl.when("healing").then(pl.lit("HEAL")).otherwise(pl.lit("CHANGE")),
        "number": pl.col("personnummer"),
        "sequence": pl.col("sequence"),
        "record_no": pl.col("record_no"),
    }
    action = pl.when(pl.col("digest").is_null()).then(pl.lit("NEW")).otherwise(pl.lit("CORRECTED"))
    changed = both.filter(pl.col("fact").is_not_null()).select(events(fact=pl.col("fact"), action=action, **shared))
    ceased = ceased.join(gone, on=["person", "benefit", "fact_id"], how="left")
    annulled = ceased.select(
        events(
            action=pl.lit("ANNULLED"),
            fact_id=pl.col("fact_id"),
            case_id=pl.coalesce("case_id_held", "case_id"),
            version=pl.coalesce("version_held", "version"),
            kind=pl.coalesce("kind_held", "kind"),
            reason=pl.when(pl.col("version_held").is_null()).then("retraction").otherwise("reason_held"),
            **shared,
        )
    )
    return pl.concat([changed, annulled])


def freezes(groups: pl.DataFrame) -> pl.DataFrame:
    """R37: one DEVIATION when a freeze begins."""
    begun = groups.filter(pl.col("frozen").is_not_null(), pl.col("deviation_number").is_null())
    trigger = pl.when("delivered").then(pl.lit("CHANGE")).otherwise(pl.lit("INITIAL"))
    return begun.select(
        events(group=pl.col("group"), action=pl.lit("DEVIATION"), trigger=trigger, number=pl.col("personnummer"), code=pl.col("frozen"))
    )


def assemble(happened: pl.DataFrame, groups: pl.DataFrame, contents: pl.DataFrame, units: Mapping[str, str]) -> pl.DataFrame:
    """The records of all partners in delivery order (R27), with `person` and `digest` beside the contract's fields."""
    of_group = groups.select("group", "bucket", "partner", "person", "benefit", "flag")
    placed = (
        happened.join(of_group, on="group", maintain_order="left")
        .with_columns(
            contents["period_from"].gather(happened["fact"]).alias("period_from"),
            pl.coalesce("fact_id", contents["fact_id"].gather(happened["fact"])).alias("fact_id"),
            pl.col("number").alias("personnummer"),
        )
        .sort(*ORDER, nulls_last=False)
    )
    fact = placed["fact"]
    shown = contents.select(
        *OF_A_FACT[1:],
        "windows",
        "digest",
        "deviation",
        pl.col("case_id").alias("case_id_shown"),
        pl.col("version").alias("version_shown"),
        pl.col("kind").alias("kind_shown"),
        pl.col("reason").alias("reason_shown"),
    )
    facts = shown[fact] if fact.null_count() == 0 else pl.DataFrame([column.gather(fact) for column in shown])
    code = pl.coalesce("code", "deviation")
    texts = code.replace_strict(DEVIATION_TEXTS, default=FREEZE_TEXT, return_dtype=pl.String)
    return pl.concat([placed, facts], how="horizontal").select(
        "bucket",
        "partner",
        "person",
        RECORD_NO,
        "action",
        "trigger",
        pl.coalesce("reason", "reason_shown").alias("reason"),
        "personnummer",
        "former_personnummer",
        pl.col("flag").alias("protected"),
        "benefit",
        pl.coalesce("case_id", "case_id_shown").alias("case_id"),
        "fact_id",
        pl.coalesce("version", "version_shown").alias("version"),
        pl.coalesce("kind", "kind_shown").alias("kind"),
        "period_from",
        "period_to",
        pl.col("windows").fill_null(pl.lit([], dtype=DELIVERY_RECORD.frame["windows"])),
        pl.col("benefit").replace_strict(units, return_dtype=DELIVERY_RECORD.frame["unit"]).alias("unit"),
        "units",
        "amount",
        "extent_permille",
        "outcome",
        "status",
        "country",
        "refers_to",
        pl.when(pl.col("sequence").is_not_null()).then(pl.struct("sequence", "record_no")).otherwise(None).alias("supersedes"),
        pl.when(code.is_not_null()).then(pl.struct(code.alias("code"), texts.alias("text"))).otherwise(None).alias("deviation"),
        "digest",
    )


def know(groups: pl.DataFrame, night: int) -> pl.DataFrame:
    """The subscriptions whose partner knows something new of the group as a whole, with that (R23, R37)."""
    begun = pl.col("frozen").is_not_null() & pl.col("deviation_number").is_null()
    told = groups.with_columns(pl.col("snapshot").is_not_null().alias("snapped"), begun.alias("begun"))
    return learn(told.filter(pl.col("snapped") | pl.col("begun") | pl.col("heal_due")), night)


def learn(groups: pl.DataFrame, night: int) -> pl.DataFrame:
    """What a partner knows of its groups after a night: frames.SUBSCRIPTIONS.

    groups: frames.SUBSCRIPTIONS before it, with `snapped` (a snapshot came), `begun` (a DEVIATION came), and the `personnummer` and `flag` told.
    """
    number = pl.col("personnummer")
    return groups.with_columns(
        pl.when("snapped")
        .then(pl.concat_list(number))
        .when("begun")
        .then(pl.col("numbers").list.set_union(pl.concat_list(number)).list.sort())
        .otherwise("numbers")
        .alias("numbers"),
        pl.when("snapped").then("flag").when("begun").then(pl.coalesce("protected", "flag")).otherwise("protected").alias("protected"),
        pl.when("snapped")
        .then(False)
        .when("begun")
        .then(pl.col("initial_due") & pl.col("delivered"))
        .otherwise("initial_due")
        .alias("initial_due"),
        (pl.col("delivered") | pl.col("snapped") | pl.col("begun")).alias("delivered"),
        pl.when("snapped").then(None).when("begun").then(number).otherwise("deviation_number").alias("deviation_number"),
        pl.lit(False).alias("heal_due"),
        pl.when("snapped").then(pl.lit(night, pl.Int32)).otherwise("snapshot_night").alias("snapshot_night"),
    ).select(list(SUBSCRIPTIONS))


def remember(records: pl.DataFrame, sequences: Mapping[str, int], night: int) -> pl.DataFrame:
    """The ledger's new rows: one per record about a fact."""
    return (
        records.filter(pl.col("fact_id").is_not_null())
        .with_columns(
            pl.lit(night).alias("night"),
            pl.col("partner").replace_strict(sequences, return_dtype=pl.Int32).alias("sequence"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TOLD.items())
        .sort("bucket", "person", "benefit", "fact_id", "partner")
    )
