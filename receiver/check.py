"""Check the records of a delivery one by one and in their order, without knowing the picture."""

from dataclasses import dataclass

import polars as pl

from schemas.errors import VerificationError

FACT_ACTIONS = ("NEW", "CORRECTED", "ANNULLED", "SNAPSHOT")
ROWS_PER_BUCKET = 1_000_000_000
ORDER = ("personnummer", "benefit", "period_from", "fact_id")
CONTENT = ("period_from", "period_to", "units", "amount", "extent_permille", "outcome", "status", "country", "refers_to")


@dataclass(frozen=True)
class Rule:
    """A rule of the contract and the records that break it. broken: Boolean, never null."""

    number: str
    text: str
    broken: pl.Expr


def acts(*actions: str) -> pl.Expr:
    """Records with one of these actions."""
    return pl.col("action").is_in(actions)


def given(*names: str) -> pl.Expr:
    """Records with at least one of these fields."""
    return pl.any_horizontal(pl.col(name).is_not_null() for name in names)


def lacking(*names: str) -> pl.Expr:
    """Records without at least one of these fields."""
    return pl.any_horizontal(pl.col(name).is_null() for name in names)


def sorts_before_the_last(names: tuple[str, ...]) -> pl.Expr:
    """Records that come, by these columns (null first, strings by their bytes), before the record above them."""
    falls: pl.Expr = pl.lit(False)
    for name in reversed(names):
        now, above = pl.col(name), pl.col(name).shift(1)
        falls = (above > now).fill_null(above.is_not_null() & now.is_null()) | (above.eq_missing(now) & falls)
    return falls


BUCKET = pl.col("record_no") // ROWS_PER_BUCKET
RECORD_RULES = (
    Rule("R24", "supersedes stands exactly with CORRECTED and ANNULLED", given("supersedes") != acts("CORRECTED", "ANNULLED")),
    Rule(
        "R25",
        "case_id, fact_id, version and kind stand with a fact",
        acts(*FACT_ACTIONS) & lacking("case_id", "fact_id", "version", "kind"),
    ),
    Rule("R25", "EMPTY and DEVIATION carry no fact", ~acts(*FACT_ACTIONS) & given("case_id", "fact_id", "version", "kind")),
    Rule(
        "R25",
        "ANNULLED, EMPTY and DEVIATION carry no content",
        acts("ANNULLED", "EMPTY", "DEVIATION") & (given(*CONTENT) | (pl.col("windows").list.len() > 0)),
    ),
    Rule("R37", "a DEVIATION says what it is", acts("DEVIATION") & lacking("deviation")),
    Rule("R25", "EMPTY and ANNULLED have no deviation", acts("EMPTY", "ANNULLED") & given("deviation")),
    Rule(
        "R23",
        "former_personnummer is another number and stands with SNAPSHOT and EMPTY only",
        given("former_personnummer") & (~acts("SNAPSHOT", "EMPTY") | pl.col("former_personnummer").eq_missing(pl.col("personnummer"))),
    ),
    Rule("R27", "record_no is not negative", pl.col("record_no") < 0),
)
ORDER_RULES = (
    Rule("R27", "record_no rises", (pl.col("record_no") <= pl.col("record_no").shift(1)).fill_null(False)),
    Rule(
        "R27",
        "the records of a bucket are in order of personnummer, benefit, period_from, fact_id",
        (BUCKET.shift(1) == BUCKET).fill_null(False) & sorts_before_the_last(ORDER),
    ),
)
RECEIPT_RULES = (
    Rule("R13", "accepted stands exactly with ACCEPTED", pl.col("accepted") != (pl.col("code") == "ACCEPTED")),
    Rule("R13", "effective_on stands with ACCEPTED only", ~pl.col("accepted") & given("effective_on")),
)


def check_records(records: pl.DataFrame, above: pl.DataFrame, where: str) -> None:
    """Check records of the contract's DeliveryRecord. above: the last one before them, or no row. Raises VerificationError."""
    refuse_broken(records, RECORD_RULES, "record_no", where)
    refuse_broken(pl.concat([above, records]), ORDER_RULES, "record_no", where)


def check_receipts(receipts: pl.DataFrame, where: str) -> None:
    """Check the contract's Receipts. Raises VerificationError."""
    refuse_broken(receipts, RECEIPT_RULES, "line_no", where)


def refuse_broken(frame: pl.DataFrame, rules: tuple[Rule, ...], number: str, where: str) -> None:
    """Raise VerificationError for the first record that breaks a rule. number: the column that names the record."""
    broken = frame.select(pl.col(number), *(rule.broken.alias(str(place)) for place, rule in enumerate(rules)))
    for place, rule in enumerate(rules):
        record = broken.filter(pl.col(str(place)))
        if len(record):
            raise VerificationError(f"{where}: {number} {record.item(0, number):,}: {rule.number}: {rule.text}")
