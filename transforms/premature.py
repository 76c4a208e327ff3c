"""Which life certificates block payments before the timetable lets them (R45; DOMAIN section 6)."""

import polars as pl

from schemas.rules import CertificateRules

BLOCKED = "5"


def premature(rules: CertificateRules, business_date: pl.Expr) -> pl.Expr:
    """Whether a fact (frames.FACTS) says that benefits are blocked, in a drop of a date before payments stop. Boolean, never null.

    The timetable is that of the fact's country and the year of its period_from, the day of sending; a year without one has no gate.
    """
    year = pl.col("period_from").dt.year()
    listed = {
        f"{of}/{country}": each.payments_stop for of, rounds in rules.years.items() for each in rounds.rounds for country in each.countries
    }
    others = {of: each.payments_stop for of, rounds in rules.years.items() for each in rounds.rounds if each.others}
    place = pl.concat_str(year, pl.lit("/"), pl.col("country"))
    own, usual = (
        key.replace_strict(list(stops), list(stops.values()), default=None, return_dtype=pl.Date())
        for key, stops in ((place, listed), (year, others))
    )
    is_block = (pl.col("kind") == "LIFE_CERTIFICATE") & (pl.col("status") == BLOCKED)
    return (is_block & (business_date < pl.coalesce(own, usual))).fill_null(False)
