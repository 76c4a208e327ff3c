"""Which slices of which recalculations are due in a night (R42)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from storage.commands import Command


@dataclass(frozen=True)
class Recalculation:
    """A recalculation that an operator ordered, as it stands before tonight.

    number: the command's; slices: the buckets of each night; nights: in which each slice was that was computed; due: those whose night is tonight, or
    was one that found the benefit withheld; cancelled: no slice follows.
    """

    number: int
    source_run: str
    effective: date
    reason: str
    first_night: date
    slices: tuple[tuple[int, ...], ...]
    nights: Mapping[int, int]
    due: frozenset[int]
    cancelled: bool

    @property
    def done(self) -> frozenset[int]:
        """The slices that were computed."""
        return frozenset(self.nights)

    @property
    def over(self) -> bool:
        """Nothing is left to do."""
        return self.cancelled or len(self.done) == len(self.slices)

    @property
    def ends(self) -> bool:
        """Tonight is the last night, if the benefit is current."""
        return bool(self.due) and len(self.done | self.due) == len(self.slices)

    @property
    def nights_of_buckets(self) -> dict[int, int]:
        """Bucket -> the night in which it was computed, of those that were."""
        return {bucket: night for place, night in self.nights.items() for bucket in self.slices[place]}

    @property
    def due_slices(self) -> dict[int, int]:
        """Bucket -> slice, of those due."""
        return {bucket: place for place in sorted(self.due) for bucket in self.slices[place]}


def schedule(given: Sequence[Command], computed: pl.DataFrame, nights: Collection[date], tonight: date | None) -> tuple[Recalculation, ...]:
    """All recalculations ever ordered. computed: frames.RECALCULATIONS; nights: the business dates that were run; tonight: null when there is none."""
    cancelled = {command.arguments["source_run"] for command in given if command.name == "cancel"}
    return tuple(
        scheduled(command, computed, [*nights, *([tonight] if tonight else [])], tonight is not None, cancelled)
        for command in given
        if command.name == "recalculate"
    )


def scheduled(command: Command, computed: pl.DataFrame, nights: Sequence[date], runs: bool, cancelled: Collection[str]) -> Recalculation:
    """One of them. Its slices come one by one in the nights from the first on, whatever their dates."""
    wanted = command.arguments
    first_night = date.fromisoformat(wanted["first_night"])
    slices = tuple(map(tuple, wanted["slices"]))
    own = computed.filter(pl.col("recalculation") == command.number, pl.col("slice") < len(slices))
    done = dict(own.select("slice", "night").iter_rows())
    begun = sum(night >= first_night for night in nights)
    stopped = wanted["source_run"] in cancelled
    due = frozenset(range(min(begun, len(slices)))) - done.keys() if runs and not stopped else frozenset()
    effective = date.fromisoformat(wanted["effective"])
    return Recalculation(command.number, wanted["source_run"], effective, wanted["reason"], first_night, slices, done, due, stopped)
