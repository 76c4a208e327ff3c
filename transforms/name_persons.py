"""Who a person is now (R11): the current number, the newest record's flag and birth date."""

import polars as pl

NAMED = pl.Schema({"person": pl.String, "personnummer": pl.String, "protected": pl.Boolean, "birth_date": pl.Date})


def name_persons(records: pl.DataFrame) -> pl.DataFrame:
    """Fold register records (frames.PERSONS) to one row per person, sorted by person.

    Newest is by recorded_at, of equal ones the last received. The number is that of the newest record with a former number, else the only one.
    """
    ordered = records.lazy().sort("person", "recorded_at", "arrival")
    newest = ordered.group_by("person", maintain_order=True).agg(pl.last("personnummer", "protected", "birth_date"))
    renamed = (
        ordered.filter(pl.col("former_personnummer").is_not_null())
        .group_by("person", maintain_order=True)
        .agg(pl.last("personnummer").alias("renamed"))
    )
    named = newest.join(renamed, on="person", how="left", maintain_order="left")
    return named.with_columns(pl.coalesce("renamed", "personnummer").alias("personnummer")).select(list(NAMED)).collect()
