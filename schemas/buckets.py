"""Which bucket a person lives in (DESIGN: Iceberg's bucket transform), and the order in which records arrived."""

import polars as pl
import polars_hash  # noqa: F401 - registers the `nchash` namespace

from schemas.arrival import DROP_BITS, ROW_BITS

# Iceberg's own vector for the hash, kept so that a changed library is found before it moves a person.
TEST_VECTOR = ("iceberg", 1210000089)
FIRST_RECORD_NO = 1_000_000_000


def bucket_of(key: pl.Expr, buckets: int) -> pl.Expr:
    """The bucket of a person's key: murmur3_x86_32 of its UTF-8 bytes, sign bit off, modulo the number of buckets. Int32."""
    hashed: pl.Expr = key.nchash.murmur32()  # type: ignore[attr-defined]  # the namespace is registered at run time
    return ((hashed & 0x7FFFFFFF) % buckets).cast(pl.Int32)


def ordinal_of(arrival: pl.Expr) -> pl.Expr:
    """The ordinal of the drop that a record arrived with, within its night."""
    return arrival // (1 << ROW_BITS) % (1 << DROP_BITS)


def night_of(arrival: pl.Expr) -> pl.Expr:
    """The night in which a record arrived."""
    return arrival // (1 << DROP_BITS + ROW_BITS)
