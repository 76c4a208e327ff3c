"""The digest of a fact's content (R22): what the ledger remembers of it. Another encoding needs another versions.CONTENT_VERSION."""

import polars as pl
from polars_hash import hash_rows

CONTENT = (
    "case_id",
    "kind",
    "period_from",
    "period_to",
    "windows",
    "unit",
    "units",
    "amount",
    "extent_permille",
    "outcome",
    "status",
    "country",
    "refers_to",
    "deviation",
)


def with_digest(contents: pl.DataFrame) -> pl.DataFrame:
    """Add `digest`: 16 bytes, murmur3_x64_128 over the row encoding of polars-hash, version 1, which is injective: lengths stand before
    values, null is not empty, a decimal counts by its value, an enum by its text."""
    return contents.with_columns(hash_rows(*CONTENT).nchash.murmur128(return_binary=True).alias("digest"))
