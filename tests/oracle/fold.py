"""The fold of R50 as slowly and plainly as it reads: one record at a time, on dicts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Group = tuple[str, str]


@dataclass
class Fold:
    """facts: (personnummer, benefit) -> fact_id -> (sequence, record). groups: -> the deviation code while incomplete, else None."""

    facts: dict[Group, dict[str, tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    groups: dict[Group, str | None] = field(default_factory=dict)

    def deliver(self, sequence: int, records: Iterable[dict[str, Any]]) -> None:
        """Take the records of one delivery. Raises KeyError for a change of a fact that is not there."""
        begun: set[Group] = set()
        for record in records:
            group = record["personnummer"], record["benefit"]
            match record["action"]:
                case "SNAPSHOT":
                    if group not in begun:
                        self.empty(group, record["former_personnummer"])
                        begun.add(group)
                    self.put(sequence, group, record)
                case "EMPTY":
                    self.empty(group, record["former_personnummer"])
                case "NEW":
                    self.put(sequence, group, record)
                case "CORRECTED":
                    self.remove(group, record)
                    self.put(sequence, group, record)
                case "ANNULLED":
                    self.remove(group, record)
                case "DEVIATION":
                    self.groups[group] = record["deviation"]["code"]

    def empty(self, group: Group, former: str | None) -> None:
        """Empty a group, and the same benefit under a former number, which then is no group any more."""
        self.facts.pop(group, None)
        self.groups[group] = None
        if former is not None:
            self.facts.pop((former, group[1]), None)
            self.groups.pop((former, group[1]), None)

    def put(self, sequence: int, group: Group, record: dict[str, Any]) -> None:
        """Put a fact."""
        self.groups.setdefault(group, None)
        self.facts.setdefault(group, {})[record["fact_id"]] = (sequence, record)

    def remove(self, group: Group, record: dict[str, Any]) -> None:
        """Remove a fact that is there."""
        self.groups.setdefault(group, None)
        del self.facts.get(group, {})[record["fact_id"]]
