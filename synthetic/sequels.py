"""How cases go on: a further payment, a correction, an extended decision, a recovery claim, a withdrawal."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from synthetic.aftermath import claimed_facts, corrected_facts, withdrawn_facts
from synthetic.catalogue import SPELLS, Spell
from synthetic.count import count_days
from synthetic.days import DAY_MS, dates, moment
from synthetic.dice import Dice
from synthetic.facts import CLAIM, DECISION, DRAFT, FACT, PAYMENT, addresses, draft, held, spans
from synthetic.people import People
from synthetic.spells import OUTCOMES, STATED_RIGHTLY

PAY, CORRECT, EXTEND, CLAIM_BACK, WITHDRAW = range(5)
WEIGHTS = (40, 24, 18, 12, 6)
LESS = 0.3
LONG_DAYS, SHORT_DAYS = 30, 5
STALE_DAYS, EARLY_DAYS = 100, 60
CLAIMED_AFTER_DAYS = 14


def sequels(people: People, benefit: str, facts: pl.DataFrame, night: int) -> pl.DataFrame:
    """One thing for each person, in the latest case, by all that was said of the benefit before. Frames of facts.DRAFT."""
    if facts.is_empty():
        return facts
    dice, today, spell = people.dice.at(benefit, night), people.start + night, SPELLS.get(benefit)
    facts = in_latest_case(held(facts))
    cases = planned(facts, benefit, dates([today])[0], dice)
    facts = facts.join(cases.select("person", "action", "last_claim"), on="person", maintain_order="left").filter(~pl.col("withdrawn"))
    payments = facts.filter(kind=PAYMENT)
    due = payments.filter((pl.col("action") == CLAIM_BACK) & (pl.col("recorded") < (today - CLAIMED_AFTER_DAYS) * DAY_MS))
    said = [
        extended_decisions(cases, spell is None, dice),
        next_payments(cases.filter(action=PAY), spell is None),
        claimed_facts(one_each(due, dice), pl.col("last_claim") + 1),
        withdrawn_facts(one_each(payments.filter(action=WITHDRAW), dice)),
        corrected_facts(
            one_each(facts.filter((pl.col("action") == CORRECT) & (pl.col("kind") != CLAIM) & pl.col("amount").is_not_null()), dice), dice
        ),
    ]
    new = pl.concat([frame.select(*DRAFT) for frame in said])
    new = new.with_columns(recorded=pl.Series(moment(dice.at("said"), np.full(len(new), today), *addresses(new))))
    return new if spell is None else with_stated_days(new, facts.select(*DRAFT), spell, dice)


def in_latest_case(facts: pl.DataFrame) -> pl.DataFrame:
    """The facts of each person's case that was decided last."""
    decisions = facts.filter(kind=DECISION).sort("person", "period_from", "case")
    latest = decisions.group_by("person", maintain_order=True).agg(pl.col("case").last())
    return facts.join(latest, on=["person", "case"], how="semi").sort(FACT)


def one_each(facts: pl.DataFrame, dice: Dice) -> pl.DataFrame:
    """One fact of each person."""
    dealt = facts.with_columns(turn=pl.Series(dice.uniform("turn", *addresses(facts)), dtype=pl.Float64))
    return dealt.sort("person", "turn").unique("person", keep="first", maintain_order=True)


def planned(facts: pl.DataFrame, benefit: str, today: date, dice: Dice) -> pl.DataFrame:
    """A row per person: what is to happen, how far the case is decided and paid, and the highest numbers.

    first, last: the next period to be paid. A case that is refused, long over or decided far ahead is corrected, not paid or extended.
    """
    decided, paid = pl.col("kind") == DECISION, pl.col("kind") == PAYMENT
    cases = facts.group_by("person", maintain_order=True).agg(
        pl.col("case").first(),
        pl.col("extent_permille", "amount", "outcome", "guarantee").filter(decided).last(),
        decided_from=pl.col("period_from").filter(decided).min(),
        renewed_from=pl.col("period_from").filter(decided).last(),
        decided_to=pl.col("period_to").filter(decided).max(),
        endless=pl.col("period_to").filter(decided).is_null().any(),
        over=((pl.col("outcome") == OUTCOMES[1]) | pl.col("withdrawn")).filter(decided).any(),
        spanned=(pl.col("spans").list.len() > 0).any(),
        level=pl.col("spans").filter(decided).last().list.last().struct.field("level"),
        country=pl.col("country").filter(paid).last(),
        last_decision=pl.col("nr").filter(decided).max(),
        paid_to=pl.col("period_to").filter(paid & ~pl.col("withdrawn")).max(),
        paid=pl.col("amount").filter(paid).last(),
        last_payment=pl.col("nr").filter(paid).max().fill_null(0),
        last_claim=pl.col("nr").filter(pl.col("kind") == CLAIM).max().fill_null(0),
    )
    spell = SPELLS.get(benefit)
    days = LONG_DAYS if spell is None or spell.pay_days or spell.weekly else SHORT_DAYS
    first = pl.coalesce(pl.col("paid_to").dt.offset_by("1d"), "decided_from")
    drawn = pl.Series(dice.pick("action", WEIGHTS, cases["person"].to_numpy()))
    stale = pl.col("over") | (pl.col("decided_to") < today - timedelta(days=STALE_DAYS)).fill_null(False)
    early = (pl.col("decided_to") > today + timedelta(days=EARLY_DAYS)).fill_null(False)
    idle = ((drawn == PAY) & (stale | (first > today))) | ((drawn == EXTEND) & (stale | early))
    return cases.with_columns(
        days=days,
        first=first,
        last=first.dt.month_end() if spell is None or spell.weekly else first.dt.offset_by(f"{days - 1}d"),
        action=pl.when(idle).then(CORRECT).otherwise(drawn),
    )


def extended_decisions(cases: pl.DataFrame, monthly: bool, dice: Dice) -> pl.DataFrame:
    """A further decision where it is time for one, or where a payment is to go beyond what is decided. Frame of facts.DRAFT."""
    beyond = (pl.col("action") == PAY) & ~pl.col("endless") & (pl.col("last") > pl.col("decided_to"))
    cases = cases.filter((pl.col("action") == EXTEND) | beyond)
    less = pl.Series(dice.chance("less", LESS, cases["person"].to_numpy()), dtype=pl.Boolean)
    first = pl.coalesce(pl.col("decided_to").dt.offset_by("1d"), pl.col("first").dt.month_start())
    last = pl.max_horizontal("last", first + pl.duration(days=pl.col("days") - 1))
    extent = pl.when(less & pl.col("guarantee").is_null()).then(pl.min_horizontal("extent_permille", 500)).otherwise("extent_permille")
    cases = cases.with_columns(
        first=first,
        last=last.dt.month_end() if monthly else last,
        extent=extent,
        amount=pl.col("amount") * extent // pl.col("extent_permille") if monthly else "amount",
        spanned=pl.col("spanned") if monthly else pl.lit(True),
    )
    with_span = cases.filter("spanned")
    first_day, last_day, permille = (with_span[name].to_physical().to_numpy() for name in ("first", "last", "extent"))
    return draft(
        cases["person"].to_numpy(),
        case=cases["case"],
        kind=DECISION,
        nr=cases["last_decision"] + 1,
        period_from=cases["first"],
        period_to=cases["last"],
        spans=spans(cases["spanned"].cast(pl.Int64).to_numpy(), first_day, last_day, permille, with_span["level"]),
        extent_permille=cases["extent"],
        amount=cases["amount"],
        outcome=cases["outcome"],
        guarantee=cases["guarantee"],
        reason="FORLANGNING",
        recorded=0,
    )


def next_payments(cases: pl.DataFrame, monthly: bool) -> pl.DataFrame:
    """The payment that follows the last. Frame of facts.DRAFT."""
    as_decided = (pl.col("renewed_from") > pl.col("paid_to")).fill_null(True)
    days = (pl.col("last") - pl.col("first")).dt.total_days() + 1
    daily = pl.col("amount") * days * pl.col("extent_permille") // 1000
    cases = cases.with_columns(paid=pl.when(as_decided).then("amount").otherwise("paid") if monthly else daily)
    return draft(
        cases["person"].to_numpy(),
        case=cases["case"],
        kind=PAYMENT,
        nr=cases["last_payment"] + 1,
        period_from=cases["first"],
        period_to=cases["last"],
        amount=cases["paid"],
        extent_permille=cases["extent_permille"],
        country=cases["country"],
        status="UTBETALD",
        recorded=0,
    )


def with_stated_days(new: pl.DataFrame, before: pl.DataFrame, spell: Spell, dice: Dice) -> pl.DataFrame:
    """State the days of payments by the decisions as they stand after the night; as in the stock, not always rightly."""
    payments = new.filter((pl.col("kind") == PAYMENT) & ~pl.col("withdrawn"))
    decisions = held(pl.concat([before, new])).filter((pl.col("kind") == DECISION) & ~pl.col("withdrawn"))
    days = payments.select(*FACT, counted=count_days(payments, decisions, spell.weekly, bool(spell.double)))
    off = pl.Series(~dice.chance("stated rightly", STATED_RIGHTLY, *addresses(new)), dtype=pl.Boolean)
    joined = new.join(days, on=FACT, how="left", maintain_order="left")
    counted = pl.when(pl.col("withdrawn")).then(None).otherwise(pl.col("counted") + off.cast(pl.Int32))
    return joined.with_columns(stated_days=pl.coalesce(counted, "stated_days").cast(pl.Int32)).drop("counted")
