"""Fold a delivery into the picture by R50, in its records' order, as sets.

`incoming` holds the delivery. An *emptying* empties a group, at the record_no of its record: the first SNAPSHOT of the group, or an EMPTY,
each also for the former number that it names. Then a fact stands as its last record says, unless its group was emptied after that.
"""

import duckdb
import polars as pl

from receiver.picture import FACTS, columns
from schemas.contracts import DELIVERY_RECORD
from schemas.errors import VerificationError

INCOMING = f"CREATE OR REPLACE TEMP TABLE incoming (file VARCHAR, {columns(DELIVERY_RECORD.frame)})"
FACT = "personnummer, benefit, fact_id"
GROUP = "personnummer, benefit"

EMPTYINGS = f"""CREATE OR REPLACE TEMP TABLE emptyings AS
WITH first_snapshots AS (SELECT min(record_no) AS record_no FROM incoming WHERE action = 'SNAPSHOT' GROUP BY {GROUP}),
emptying AS (
    SELECT * FROM incoming WHERE action = 'EMPTY'
    UNION ALL
    SELECT incoming.* FROM incoming SEMI JOIN first_snapshots USING (record_no)
)
SELECT {GROUP}, record_no, false AS former FROM emptying
UNION ALL
SELECT former_personnummer, benefit, record_no, true FROM emptying WHERE former_personnummer IS NOT NULL"""

# The first CORRECTED or ANNULLED that does not find the record that it names: the last one on its fact, here or else in the picture,
# unless the group was emptied since.
FIRST_UNFOUNDED = f"""
SELECT change.file, change.record_no, change.action, change.supersedes.sequence, change.supersedes.record_no,
    CASE
        WHEN emptied.record_no > coalesce(earlier.record_no, -1) OR earlier.action = 'ANNULLED' THEN NULL
        WHEN earlier.record_no IS NOT NULL THEN $sequence
        ELSE fact.sequence
    END AS found_sequence,
    coalesce(earlier.record_no, fact.record_no) AS found_record_no
FROM (SELECT * FROM incoming WHERE action IN ('CORRECTED', 'ANNULLED')) AS change
ASOF LEFT JOIN (SELECT {FACT}, record_no, action FROM incoming WHERE fact_id IS NOT NULL) AS earlier
    ON change.personnummer = earlier.personnummer AND change.benefit = earlier.benefit AND change.fact_id = earlier.fact_id
    AND change.record_no > earlier.record_no
ASOF LEFT JOIN emptyings AS emptied
    ON change.personnummer = emptied.personnummer AND change.benefit = emptied.benefit AND change.record_no > emptied.record_no
LEFT JOIN facts AS fact
    ON change.personnummer = fact.personnummer AND change.benefit = fact.benefit AND change.fact_id = fact.fact_id
WHERE found_sequence IS DISTINCT FROM change.supersedes.sequence OR found_record_no IS DISTINCT FROM change.supersedes.record_no
ORDER BY change.record_no
LIMIT 1"""

LAST_RECORDS = f"""CREATE OR REPLACE TEMP TABLE last_records AS
SELECT {FACT}, max(record_no) AS record_no FROM incoming WHERE fact_id IS NOT NULL GROUP BY ALL"""

FORGET = (
    f"DELETE FROM facts USING (SELECT DISTINCT {GROUP} FROM emptyings) AS gone "
    "WHERE facts.personnummer = gone.personnummer AND facts.benefit = gone.benefit",
    "DELETE FROM facts USING last_records AS told "
    "WHERE facts.personnummer = told.personnummer AND facts.benefit = told.benefit AND facts.fact_id = told.fact_id",
)

PUT = f"""INSERT INTO facts
SELECT $sequence, {", ".join(f'incoming."{name}"' for name in FACTS if name != "sequence")}
FROM incoming
SEMI JOIN last_records USING (record_no)
LEFT JOIN (SELECT {GROUP}, max(record_no) AS emptied_at FROM emptyings GROUP BY ALL) USING ({GROUP})
WHERE action <> 'ANNULLED' AND record_no >= coalesce(emptied_at, -1)"""

# What the delivery makes of each group that it names. state: by its last emptying or DEVIATION, null when it has none.
VERDICTS = f"""CREATE OR REPLACE TEMP TABLE verdicts AS
WITH turns AS (
    SELECT {GROUP}, record_no, {{'kept': NOT former, 'complete': true, 'code': NULL::VARCHAR, 'text': NULL::VARCHAR}} AS state
    FROM emptyings
    UNION ALL
    SELECT {GROUP}, record_no, {{'kept': true, 'complete': false, 'code': deviation.code, 'text': deviation.text}}
    FROM incoming WHERE action = 'DEVIATION'
    UNION ALL
    SELECT {GROUP}, max(record_no), NULL FROM incoming WHERE fact_id IS NOT NULL GROUP BY ALL
)
SELECT {GROUP}, arg_max(state, record_no) AS state,
    max(record_no) FILTER (state IS NULL) > max(record_no) FILTER (state IS NOT NULL) AS named_since
FROM turns GROUP BY ALL"""

JUDGE = (
    """DELETE FROM groups USING verdicts
WHERE groups.personnummer = verdicts.personnummer AND groups.benefit = verdicts.benefit AND verdicts.state IS NOT NULL""",
    f"""INSERT INTO groups
SELECT {GROUP}, coalesce(state.complete, true), state.code, state.text, $sequence
FROM verdicts ANTI JOIN groups USING ({GROUP})
WHERE coalesce(state.kept, true) OR named_since""",
)


def begin(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for a delivery."""
    connection.execute(INCOMING)


def load(connection: duckdb.DuckDBPyConnection, records: pl.DataFrame, file: str) -> None:
    """Add records of the contract's DeliveryRecord to the delivery. file: where they came from."""
    connection.register("batch", records)
    connection.execute("INSERT INTO incoming SELECT ?, * FROM batch", [file])
    connection.unregister("batch")


def totals(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], int]:
    """Count the loaded records by benefit and action."""
    counts = connection.execute("SELECT benefit, action, count(*) FROM incoming GROUP BY ALL").fetchall()
    return {(benefit, action): records for benefit, action, records in counts}


def fold(connection: duckdb.DuckDBPyConnection, partner: str, sequence: int) -> None:
    """Bring `facts` and `groups` to what they are after the loaded delivery (R50).

    Raises VerificationError when a CORRECTED or ANNULLED is about a fact that is not there, or supersedes another record than its last one.
    """
    connection.execute(EMPTYINGS)
    refuse_unfounded(connection, partner, sequence)
    connection.execute(LAST_RECORDS)
    for statement in FORGET:
        connection.execute(statement)
    connection.execute(PUT, {"sequence": sequence})
    connection.execute(VERDICTS)
    connection.execute(JUDGE[0])
    connection.execute(JUDGE[1], {"sequence": sequence})


def refuse_unfounded(connection: duckdb.DuckDBPyConnection, partner: str, sequence: int) -> None:
    """Raise VerificationError for the first CORRECTED or ANNULLED that does not follow from the records before it (R24, R50)."""
    broken = connection.execute(FIRST_UNFOUNDED, {"sequence": sequence}).fetchone()
    if broken is None:
        return
    file, record_no, action, stated_sequence, stated_record_no, found_sequence, found_record_no = broken
    where = f"delivery {partner} {sequence:08d}, {file}: record_no {record_no:,}"
    if found_sequence is None:
        raise VerificationError(f"{where}: R50: {action} of a fact that is not there")
    stated, found = f"{stated_sequence}/{stated_record_no:,}", f"{found_sequence}/{found_record_no:,}"
    raise VerificationError(f"{where}: R24: {action} supersedes {stated}, the fact's last record is {found}")
