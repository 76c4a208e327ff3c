"""Control totals of one step: what went in must come out (S08)."""

import polars as pl

from schemas.errors import VerificationError
from transforms.total import unequal


def must_equal(step: str, before: pl.DataFrame, after: pl.DataFrame) -> None:
    """Stop the run when a step lost facts or days. The arguments are transforms.total.TOTAL. VerificationError names the first place."""
    for bucket, benefit, facts, days, facts_after, days_after in unequal(before, after).head(1).iter_rows():
        raise VerificationError(
            f"control totals: {step}: bucket {bucket}, {benefit}: {facts} facts with {days} span days went in, {facts_after} with {days_after} came out"
        )
