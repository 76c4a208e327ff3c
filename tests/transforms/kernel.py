"""A night's comparison in memory, as the pipeline wires it: what `deliver` of the world oracle says slowly, on frames."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from schemas.frames import QUARANTINE, SUBSCRIPTIONS, TOLD, UNIT
from tests.transforms.facts import UNITS, Row, facts_frame
from transforms.carry_told import carry_told, with_carried
from transforms.compare import Compared, compare
from transforms.compensate import compensate
from transforms.digest import with_digest
from transforms.freeze import freeze
from transforms.hold import hold
from transforms.merge_subscriptions import merge_subscriptions
from transforms.name_persons import NAMED

TOLD_KEY = ("partner", "person", "benefit", "fact_id")
HEALS = pl.Schema(dict.fromkeys(TOLD_KEY, pl.String()))
GONE = pl.Schema({"person": pl.String, "benefit": pl.String, "fact_id": pl.String, "retraction": pl.String})


class Kernel:
    """Subscriptions and ledger between nights. bucket_of: person -> bucket."""

    def __init__(self, bucket_of: Mapping[str, int]) -> None:
        self.bucket_of = bucket_of
        self.subscriptions: dict[tuple[str, str, str], Row] = {}
        self.told = self.carried = TOLD.to_frame()
        self.heals: set[tuple[str, str, str, str]] = set()

    def subscribe(self, key: tuple[str, str, str], from_date: Any, night: int) -> None:
        """R12, R14, as `take_orders` leaves the row."""
        partner, person, benefit = key
        standing = self.subscriptions.get(key)
        if standing is None:
            blank = {"numbers": [], "initial_due": True, "delivered": False, "heal_due": False, "snapshot_night": night}
            group = {"bucket": self.bucket_of[person], "partner": partner, "person": person, "benefit": benefit, "purpose": "insurance"}
            self.subscriptions[key] = dict.fromkeys(SUBSCRIPTIONS) | blank | group | {"from_date": from_date}
        elif from_date < standing["from_date"]:
            standing |= {"from_date": from_date, "initial_due": True}

    def heal(self, key: tuple[str, str, str], fact_id: str) -> None:
        """R24: reconcile found that a fact was told wrong, or not at all."""
        self.subscriptions[key]["heal_due"] = True
        self.heals.add((*key, fact_id))

    def merge(self, ceases: str, stays: str, night: int) -> None:
        """R12: rows of the key that ceased stand under the other's."""
        moving = [row for row in self.subscriptions.values() if row["person"] == ceases]
        told = pl.concat([self.told, self.carried]).filter(pl.col("person") == ceases)
        self.carried = self.carried.filter(pl.col("person") != ceases)
        carried = carry_told(told, pl.DataFrame(moving, SUBSCRIPTIONS, orient="row"), night)
        self.carried = pl.concat([self.carried, carried.with_columns(pl.lit(stays).alias("person"))])
        moved = [row | {"person": stays, "bucket": self.bucket_of[stays], "snapshot_night": night} for row in moving]
        rows = [row for row in self.subscriptions.values() if row["person"] != ceases] + moved
        self.keep(merge_subscriptions(pl.DataFrame(rows, SUBSCRIPTIONS, orient="row"), {ceases: stays}))
        self.heals = {(partner, stays if person == ceases else person, benefit, of) for partner, person, benefit, of in self.heals}

    def keep(self, subscriptions: pl.DataFrame) -> None:
        """Replace the subscriptions."""
        self.subscriptions = {(row["partner"], row["person"], row["benefit"]): row for row in subscriptions.to_dicts()}

    def compare(
        self,
        facts: Sequence[Row],
        rejected: Sequence[Row],
        names: Mapping[str, tuple[str, bool]],
        retracted: Mapping[tuple[str, str, str], str],
        sequences: Mapping[str, int],
        current: Collection[str],
        in_slice: Collection[tuple[str, str, str]],
        night: int,
    ) -> Compared:
        """Compare the groups of the current benefits, and keep what their partners then know."""
        due = [row | {"in_slice": key in in_slice} for key, row in self.subscriptions.items() if key[2] in current]
        groups = pl.DataFrame(due, pl.Schema({**SUBSCRIPTIONS, "in_slice": pl.Boolean()}), orient="row")
        held = hold(facts_frame(facts).join(groups, on=["person", "benefit"], how="semi"))
        unit = pl.col("benefit").replace_strict(UNITS, return_dtype=UNIT).alias("unit")
        contents = with_digest(compensate(held.with_columns(unit)))
        named = pl.DataFrame([(p, *name, None) for p, name in names.items()], NAMED, orient="row")
        gone = pl.DataFrame([(*key, reason) for key, reason in retracted.items()], GONE, orient="row")
        frozen = freeze(quarantine(rejected), held)
        groups = groups.join(frozen, on=["person", "benefit"], how="left", maintain_order="left")
        newest = pl.concat([self.told, self.carried]).sort("night", maintain_order=True).unique(TOLD_KEY, keep="last", maintain_order=True)
        heals = pl.DataFrame(sorted(self.heals), HEALS, orient="row")
        result = compare(groups, named, contents, held, newest, gone, heals, UNITS, sequences, night)
        self.told = pl.concat([self.told, with_carried(result.told, self.carried, result.records)])
        self.carried = TOLD.to_frame()
        self.heals = {heal for heal in self.heals if heal[2] not in current}
        known = pl.DataFrame(list(self.subscriptions.values()), SUBSCRIPTIONS, orient="row")
        key = ["partner", "person", "benefit"]
        self.keep(pl.concat([known.join(result.subscriptions, on=key, how="anti"), result.subscriptions]))
        return result


def quarantine(rejected: Sequence[Row]) -> pl.DataFrame:
    """Rejected records as a frame: facts with `drop_benefit` and `code`."""
    blank = {"drop": "drop", "night": 1, "released": False, "release_reason": None}
    return pl.DataFrame([row | blank for row in rejected], QUARANTINE, orient="row")


def untexted(records: pl.DataFrame) -> dict[str, list[Row]]:
    """The records of each partner as the oracle has them: texts for people left out."""
    found: dict[str, list[Row]] = {}
    for row in records.drop("bucket", "person").to_dicts():
        code = row["deviation"] and row["deviation"]["code"]
        found.setdefault(row.pop("partner"), []).append(row | {"deviation": code and {"code": code, "text": ""}})
    return found
