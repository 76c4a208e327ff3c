"""What follows a fact: recovery claims, corrections, withdrawals."""

import numpy as np
import polars as pl

from synthetic.days import DAY_MS, HOUR_MS, moment
from synthetic.dice import Dice
from synthetic.facts import CLAIM, PAYMENT, addresses, draft, named, nullable, recorded_days

CLAIMED = 0.02
NO_REFERENCE = 0.02
CORRECTED = 0.03
CASES_WITHDRAWN = 0.003
PAYMENTS_WITHDRAWN = 0.003
RECOVERED, CORRECTION, WITHDRAWAL = "FELAKTIG_UTBETALNING", "RATTELSE", "ATERTAGEN"
STATUSES = ("OPPEN", "REGLERAD")


def claims(facts: pl.DataFrame, dice: Dice) -> pl.DataFrame:
    """Recovery claims, weeks after some of the payments; a few do not say after which. Frame of facts.DRAFT."""
    payments = facts.filter(kind=PAYMENT)
    payments = payments.filter(dice.chance("claimed", CLAIMED, *addresses(payments)))
    keys = addresses(payments)
    person, case, _, nr = keys
    after = recorded_days(payments) + dice.integers("claimed after", 14, 120, *keys)
    return draft(
        person,
        case=case,
        kind=CLAIM,
        nr=nr,
        period_from=payments["period_from"],
        period_to=payments["period_to"],
        amount=payments["amount"].to_numpy() * dice.integers("percent claimed", 20, 100, *keys) // 100,
        status=named(dice.pick("status", (6, 4), *keys), STATUSES),
        refers=nullable(nr, ~dice.chance("no reference", NO_REFERENCE, *keys)),
        reason=RECOVERED,
        recorded=moment(dice.at("claim"), after, *keys),
    )


def with_versions(facts: pl.DataFrame, dice: Dice, until: int) -> pl.DataFrame:
    """Facts with the earlier versions of the few that were corrected, and the withdrawals, up to the end of the day `until`. Frame of
    facts.DRAFT.

    The corrected version is the fact as it was given, so what is held fits together.
    """
    keys = addresses(facts)
    person, case, kind, _ = keys
    recorded, latest = facts["recorded"].to_numpy(), until * DAY_MS + 20 * HOUR_MS
    corrected = dice.chance("corrected", CORRECTED, *keys) & facts["amount"].is_not_null().to_numpy()
    again = np.where(corrected, np.minimum(recorded + dice.integers("corrected after", 1, 6, *keys) * DAY_MS, latest), recorded)
    withdrawn = dice.chance("case withdrawn", CASES_WITHDRAWN, person, case)
    withdrawn |= (kind == PAYMENT) & dice.chance("withdrawn", PAYMENTS_WITHDRAWN, *keys)
    now = facts.with_columns(
        version=pl.col("version") + pl.Series(corrected).cast(pl.Int32),
        recorded=pl.Series(again),
        reason=pl.when(pl.Series(corrected)).then(pl.lit(CORRECTION)).otherwise("reason"),
    )
    back = withdrawn_facts(now.filter(withdrawn)).with_columns(recorded=pl.min_horizontal(pl.col("recorded") + 9 * DAY_MS, latest))
    return pl.concat([mistaken(facts.filter(corrected)), now, back])


def mistaken(facts: pl.DataFrame) -> pl.DataFrame:
    """What stood there before a correction: another amount, a span too few, a day too many."""
    fewer = pl.max_horizontal(pl.col("spans").list.len().cast(pl.Int32) - 1, 1)
    return with_other_amount(facts).with_columns(spans=pl.col("spans").list.head(fewer), stated_days=pl.col("stated_days") + 1)


def with_other_amount(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts with an amount a tenth higher; or lower, where there is a guarantee: it follows, as more income is set off against it."""
    tenth, guaranteed = pl.col("amount") // 10 + 1, pl.col("guarantee").is_not_null()
    yearly, income = (pl.col("guarantee").struct.field(name) for name in ("yearly_amount", "income_related_yearly"))
    changed = {"yearly_amount": yearly - 12 * tenth, "income_related_yearly": income + 12 * tenth}
    guarantee = pl.col("guarantee").struct.with_fields(**{name: value.cast(pl.Decimal(12, 2)) for name, value in changed.items()})
    return facts.with_columns(
        amount=pl.col("amount") + pl.when(guaranteed).then(-tenth).otherwise(tenth), guarantee=pl.when(guaranteed).then(guarantee)
    )


def withdrawn_facts(facts: pl.DataFrame) -> pl.DataFrame:
    """The versions that take facts back."""
    return facts.with_columns(version=pl.col("version") + 1, withdrawn=pl.lit(True), reason=pl.lit(WITHDRAWAL))


def corrected_facts(facts: pl.DataFrame, dice: Dice) -> pl.DataFrame:
    """Higher versions with another amount and, of every other fact, a last span that ends earlier."""
    span = pl.element()
    middle = ((span.struct.field("first").cast(pl.Int32) + span.struct.field("last").cast(pl.Int32)) // 2).cast(pl.Date)
    last = pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(middle).otherwise(span.struct.field("last"))
    shorter = pl.Series(dice.chance("shorter", 0.5, *addresses(facts)), dtype=pl.Boolean)
    return with_other_amount(facts).with_columns(
        version=pl.col("version") + 1,
        spans=pl.when(shorter).then(pl.col("spans").list.eval(span.struct.with_fields(last=last))).otherwise("spans"),
        reason=pl.lit(CORRECTION),
    )


def claimed_facts(payments: pl.DataFrame, nr: pl.Expr) -> pl.DataFrame:
    """Recovery claims of half of payments. nr: the numbers of the claims."""
    nothing = {name: pl.lit(None, payments.schema[name]) for name in ("extent_permille", "stated_days", "outcome", "country")}
    return payments.with_columns(
        **nothing,
        kind=pl.lit(CLAIM, pl.UInt8),
        nr=nr,
        version=pl.lit(1, pl.Int32),
        refers=pl.col("nr"),
        amount=pl.col("amount") // 2,
        status=pl.lit(STATUSES[0]),
        reason=pl.lit(RECOVERED),
    )
