"""The frames inside: column names and types, written once. What comes in and goes out has its frame in `contracts`."""

import polars as pl

from schemas.contracts import BENEFIT_FACT, DELIVERY_RECORD, PERSON
from schemas.errors import VerificationError

KIND = BENEFIT_FACT.frame["kind"]
UNIT = DELIVERY_RECORD.frame["unit"]
ACTION = DELIVERY_RECORD.frame["action"]
TRIGGER = DELIVERY_RECORD.frame["trigger"]
WINDOWS = DELIVERY_RECORD.frame["windows"]

# A fact as the store holds it. person: the person's key (the first number of the chain). arrival: see schemas/arrival.py.
FACTS = pl.Schema({"bucket": pl.Int32(), "person": pl.String(), **BENEFIT_FACT.frame, "arrival": pl.Int64()})

# A register record as the store holds it.
PERSONS = pl.Schema({"bucket": pl.Int32(), "person": pl.String(), **PERSON.frame, "arrival": pl.Int64()})

SUBSCRIPTION_KEY = ("partner", "person", "benefit")

# A subscription, and what its partner knows of the group as a whole (R12, R23, R37). One row per key.
#   numbers: every personnummer under which something was told; protected: the flag told last, null before the first record;
#   initial_due: the next delivery is an initial one; delivered: something was delivered; snapshot_night: what was told before it is void;
#   deviation_number: the number under which a DEVIATION stands that no snapshot has ended, else null; heal_due: reconcile asked for it.
SUBSCRIPTIONS = pl.Schema(
    {
        "bucket": pl.Int32(),
        "partner": pl.String(),
        "person": pl.String(),
        "benefit": pl.String(),
        "purpose": pl.String(),
        "from_date": pl.Date(),
        "end_date": pl.Date(),
        "numbers": pl.List(pl.String()),
        "protected": pl.Boolean(),
        "initial_due": pl.Boolean(),
        "delivered": pl.Boolean(),
        "deviation_number": pl.String(),
        "heal_due": pl.Boolean(),
        "snapshot_night": pl.Int32(),
    }
)

# The ledger: the last record that a partner got about a fact. Of one (partner, person, benefit, fact_id) the newest night holds.
#   digest: 16 bytes over R22's content, encoded as versions.CONTENT_VERSION has it, null once the fact was annulled.
TOLD = pl.Schema(
    {
        "bucket": pl.Int32(),
        "partner": pl.String(),
        "person": pl.String(),
        "benefit": pl.String(),
        "fact_id": pl.String(),
        "night": pl.Int32(),
        "digest": pl.Binary(),
        "version": pl.Int32(),
        "case_id": pl.String(),
        "kind": KIND,
        "sequence": pl.Int32(),
        "record_no": pl.Int64(),
    }
)

# (person, benefit) pairs that changed and that no night has compared yet.
TOUCHED = pl.Schema({"bucket": pl.Int32(), "person": pl.String(), "benefit": pl.String()})


def require(frame: pl.DataFrame, schema: pl.Schema, where: str) -> pl.DataFrame:
    """Return the frame, or raise VerificationError naming the columns that are not as declared. `where`: the step."""
    if frame.schema != schema:
        odd = sorted(set(frame.schema.items()) ^ set(schema.items()), key=str)
        raise VerificationError(f"{where}: the frame has other columns than declared, or another order: {odd}")
    return frame


# A subscription as the table has it: the newest night holds; gone: it has ended.
SUBSCRIPTION_ROWS = pl.Schema({**SUBSCRIPTIONS, "night": pl.Int32(), "gone": pl.Boolean()})

# A number that is not its person's key (R11).
IDENTITIES = pl.Schema({"number": pl.String(), "person": pl.String(), "night": pl.Int32()})

# A drop that was consumed. ordinal: its place among the drops of its night.
DROPS = pl.Schema(
    {
        "drop": pl.String(),
        "sha256": pl.String(),
        "dataset": pl.String(),
        "benefit": pl.String(),
        "partner": pl.String(),
        "business_date": pl.Date(),
        "rows": pl.Int64(),
        "night": pl.Int32(),
        "ordinal": pl.Int32(),
    }
)

# A chain after a night: what was consumed, why it is withheld and since when, the sizes of its last ten drops.
CHAINS = pl.Schema(
    {
        "chain": pl.String(),
        "night": pl.Int32(),
        "last": pl.Date(),
        "since": pl.Date(),
        "code": pl.String(),
        "text": pl.String(),
        "sizes": pl.List(pl.Int64()),
    }
)

# A night that was settled. commands: number of the last command that it took.
RUNS = pl.Schema({"night": pl.Int32(), "run": pl.String(), "business_date": pl.Date(), "records": pl.Int64(), "commands": pl.Int64()})

# A refresh (R16, R17). refresh: its place in the queue; slices: how many were delivered; waiting: groups that wait.
REFRESHES = pl.Schema(
    {
        "refresh": pl.Int64(),
        "partner": pl.String(),
        "order_id": pl.String(),
        "line_no": pl.Int32(),
        "accepted": pl.Int32(),
        "groups": pl.Int64(),
        "slices": pl.Int32(),
        "waiting": pl.Int64(),
        "night": pl.Int32(),
    }
)

MEMBER_KEY = ("refresh", *SUBSCRIPTION_KEY)

# A group that a refresh owes; the newest night holds. waits: not yet served, nor passed over.
MEMBERS = pl.Schema(
    {
        "bucket": pl.Int32(),
        "refresh": pl.Int64(),
        "partner": pl.String(),
        "person": pl.String(),
        "benefit": pl.String(),
        "waits": pl.Boolean(),
        "night": pl.Int32(),
    }
)

# A slice of a recalculation that was computed (R42). slice: its place; one beyond the last: who came into buckets that were done.
# decisions, unchanged, skipped: cases that it looked at, by what came of them.
RECALCULATIONS = pl.Schema(
    {
        "recalculation": pl.Int64(),
        "slice": pl.Int32(),
        "night": pl.Int32(),
        "decisions": pl.Int64(),
        "unchanged": pl.Int64(),
        "skipped": pl.Int64(),
    }
)

# A case that a recalculation looked at, and what came of it (transforms.recalculate).
RECALCULATED = pl.Schema(
    {
        "bucket": pl.Int32(),
        "recalculation": pl.Int64(),
        "person": pl.String(),
        "case_id": pl.String(),
        "result": pl.String(),
        "night": pl.Int32(),
    }
)

# What a run counted, per bucket, benefit and what was counted: facts and days in, records and days out.
TOTALS = pl.Schema({"night": pl.Int32(), "bucket": pl.Int32(), "benefit": pl.String(), "measure": pl.String(), "count": pl.Int64()})

# A rejected record and why (R35). drop_benefit: the benefit that it freezes (R36).
QUARANTINE = pl.Schema({**FACTS, "drop_benefit": pl.String(), "drop": pl.String(), "code": pl.String(), "night": pl.Int32()})

# A difference that reconcile found. what: the action that would mend it, or LEDGER where the ledger is not what the delivered files say;
# digest: then that of the record delivered, null when there is none.
DIFFERENCES = pl.Schema(
    {
        "bucket": pl.Int32(),
        "partner": pl.String(),
        "person": pl.String(),
        "benefit": pl.String(),
        "fact_id": pl.String(),
        "what": pl.String(),
        "digest": pl.Binary(),
    }
)

TABLES = {
    "facts": FACTS,
    "persons": PERSONS,
    "told": TOLD,
    "touched": TOUCHED,
    "quarantine": QUARANTINE,
    "subscriptions": SUBSCRIPTION_ROWS,
    "refreshes": REFRESHES,
    "members": MEMBERS,
    "identities": IDENTITIES,
    "drops": DROPS,
    "chains": CHAINS,
    "runs": RUNS,
    "totals": TOTALS,
    "recalculations": RECALCULATIONS,
    "recalculated": RECALCULATED,
}
IN_STORE = frozenset({"facts", "persons", "told", "touched", "recalculated"})  # by bucket, in store/; the others are in lake/
