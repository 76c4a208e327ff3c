"""The answers to an order line (R13): the table of checks that need no subscription, in the contract's order, and judging by it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from schemas import personnummer
from schemas.contracts import RECEIPT

CODE = RECEIPT.frame["code"]
PERMISSION = ("partner", "purpose", "benefit")

# The fields that an action uses, of those that not all use; the others are not looked at.
USED_BY: Mapping[str, tuple[str, ...]] = {
    "personnummer": ("SUBSCRIBE", "END", "REFRESH"),
    "benefit": ("SUBSCRIBE", "END", "REFRESH"),
    "purpose": ("SUBSCRIBE",),
    "from_date": ("SUBSCRIBE",),
    "end_date": ("SUBSCRIBE", "END"),
    "born_from": ("REFRESH",),
    "born_to": ("REFRESH",),
}
DATES = ("from_date", "end_date", "born_from", "born_to")


@dataclass(frozen=True)
class Check:
    """A reason to refuse a line. broken: Boolean over a line's fields in use, its `<date>_text`, and what is known tonight; null is no."""

    code: str
    text: str
    broken: pl.Expr


ACTION, NUMBER, BENEFIT, PURPOSE = pl.col("action"), pl.col("personnummer"), pl.col("benefit"), pl.col("purpose")
FROM, END, BORN_FROM, BORN_TO, TODAY = pl.col("from_date"), pl.col("end_date"), pl.col("born_from"), pl.col("born_to"), pl.col("today")
STRANGE = pl.when(pl.col("person").is_null()).then(NUMBER)  # a number that has made a person is valid
SUBSCRIBES, REFRESHES = ACTION == "SUBSCRIBE", ACTION == "REFRESH"


def malformed(date: str) -> Check:
    """A date that is given and is none."""
    return Check(
        "INVALID_DATE", f"{date} must be a real date, written YYYY-MM-DD.", pl.col(f"{date}_text").is_not_null() & pl.col(date).is_null()
    )


# R13: the first that is broken is the answer.
CHECKS = (
    Check("INVALID_ACTION", "action must be SUBSCRIBE, END or REFRESH.", ~ACTION.is_in(["SUBSCRIBE", "END", "REFRESH"])),
    Check("MISSING_FIELD", "personnummer is missing: SUBSCRIBE and END need one.", ~REFRESHES & NUMBER.is_null()),
    Check("MISSING_FIELD", "benefit is missing: SUBSCRIBE and END need one.", ~REFRESHES & BENEFIT.is_null()),
    Check("MISSING_FIELD", "purpose is missing: SUBSCRIBE needs one.", SUBSCRIBES & PURPOSE.is_null()),
    Check("MISSING_FIELD", "from_date is missing: SUBSCRIBE needs one.", SUBSCRIBES & pl.col("from_date_text").is_null()),
    Check(
        "INVALID_PERSONNUMMER",
        "personnummer must be 12 digits with a real date, a serial that is not 000 and the right check digit.",
        STRANGE.is_not_null() & ~personnummer.valid(STRANGE),
    ),
    Check("UNKNOWN_BENEFIT", "benefit must be a code of the catalogue.", BENEFIT.is_not_null() & ~pl.col("in_catalogue")),
    *map(malformed, DATES),
    Check("INVALID_DATE", "end_date must be after from_date.", END <= FROM),
    Check("INVALID_DATE", "end_date of a new subscription must be after the business date.", SUBSCRIBES & (END <= TODAY)),
    Check("INVALID_DATE", "born_from must not be after born_to.", BORN_FROM > BORN_TO),
    Check("FUTURE_DATE", "from_date must not be after the business date.", FROM > TODAY),
    Check("NOT_AUTHORISED", "purpose and benefit: the partner has no such permission.", SUBSCRIBES & ~pl.col("permitted")),
    Check("UNKNOWN_PERSON", "personnummer is not in the register.", NUMBER.is_not_null() & ~pl.col("registered")),
)

# The answers that depend on the subscriptions at the line's turn.
UNSUBSCRIBED = "No active subscription matches."
DUPLICATE = "from_date is not earlier than that of the active subscription, which stays as it is."
SUBSCRIBED = "The subscription starts: everything visible from from_date on is delivered."
MOVED_BACK = "The subscription is moved back to the earlier from_date and delivered initially again."
ENDED = "The subscription's end_date is set to effective_on."
REFRESHED = "A snapshot of every subscription that matches is queued."

CODES: Mapping[str, str] = {check.text: check.code for check in CHECKS} | {
    UNSUBSCRIBED: "NO_SUBSCRIPTION",
    DUPLICATE: "DUPLICATE",
    SUBSCRIBED: "ACCEPTED",
    MOVED_BACK: "ACCEPTED",
    ENDED: "ACCEPTED",
    REFRESHED: "ACCEPTED",
}
ANSWER = pl.Enum(list(CODES))


def answer(text: str) -> pl.Expr:
    """One of CODES' texts as a literal."""
    return pl.lit(text, dtype=ANSWER)


def code_of(answers: pl.Expr) -> pl.Expr:
    """The receipt's code of each answer; null stays null."""
    return answers.replace_strict(CODES, return_dtype=CODE)


def day(text: pl.Expr) -> pl.Expr:
    """The date that a text is, exactly as YYYY-MM-DD; else null. There is no year 0."""
    shaped = text.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$") & ~text.str.starts_with("0000")
    return pl.when(shaped).then(text).str.to_date("%Y-%m-%d", strict=False)


def judge_lines(
    lines: pl.DataFrame, registered: pl.Series, permissions: pl.DataFrame, benefits: Collection[str], today: pl.Expr
) -> pl.DataFrame:
    """Answer the lines that fail whatever is subscribed, and read the others (R13).

    lines: ORDER_LINE's columns, partner, person. registered: keys of the register's persons. permissions: partner, purpose, benefit.
    today: the business date. Returns the lines with `answer` (ANSWER, null: nothing wrong so far); empty and unused fields are null, the
    four dates are dates.
    """
    fields = [pl.when((pl.col(name) != "") & ACTION.is_in(actions)).then(pl.col(name)).alias(name) for name, actions in USED_BY.items()]
    known = [
        BENEFIT.is_in(list(benefits)).alias("in_catalogue"),
        pl.col("permitted").fill_null(False),
        pl.col("person").is_in(registered.implode()).alias("registered"),
        today.alias("today"),
    ]
    first_broken = pl.coalesce(pl.when(check.broken).then(answer(check.text)) for check in CHECKS)
    return (
        lines.with_columns(fields)
        .join(permissions.select(PERMISSION).unique().with_columns(permitted=True), on=PERMISSION, how="left", maintain_order="left")
        .with_columns(known)
        .with_columns(pl.col(name).alias(f"{name}_text") for name in DATES)
        .with_columns(day(pl.col(name)) for name in DATES)
        .with_columns(first_broken.alias("answer"))
        .select(*lines.columns, "answer")
    )
