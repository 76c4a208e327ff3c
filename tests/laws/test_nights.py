"""Laws over whole nights: whatever is said, in whatever order, with drops that are missing or broken and processes that are killed,
each night delivers just what the slow and obvious lefi says."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from storage import failpoints, folds
from tests.faults.trial import KilledError
from tests.kit import CATALOGUE, Row, World
from tests.laws.said import BENEFITS, NIGHT_BEFORE_ALL, PARTNERS, PEOPLE, Said, facts, lines, records
from tests.laws.slow import PERSONS, Night, Permissions, Slow
from tests.scenarios.entitled import entitled, is_told, told
from tests.straight import straight

POINTS = json.loads((Path(__file__).parents[1] / "faults" / "points.json").read_text("utf-8"))["nightly"]
PERMITTED = {"ALLA": BENEFITS, "BOLAGET": ("FK:SJP", "FK:TFP"), "KASSAN": ("FK:SJP", "FK:SA")}


def permissions(conf: dict[str, Any]) -> Permissions:
    """What conf permits."""
    return {(name, each["purpose"], benefit) for name, of in conf.items() for each in of["permissions"] for benefit in each["benefits"]}


def comparable(rows: list[Row]) -> list[Row]:
    """Records without the texts that are for people."""
    return [row | {"deviation": row["deviation"] and row["deviation"] | {"text": ""}} for row in rows]


class Nights(RuleBasedStateMachine):
    """lefi and the slow lefi, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.today = NIGHT_BEFORE_ALL
        self.killed = 0

    @initialize()
    def begin(self) -> None:
        """Partners, persons, and some whom everybody watches."""
        self.world = World(self.folder / "ws", buckets=2)
        for name, of in PERMITTED.items():
            self.world.partner(name, *of)
        self.world.write("conf/benefits.yaml", yaml.safe_dump({"benefits": {name: dict(CATALOGUE[name]) for name in BENEFITS}}))
        self.slow = Slow.of(self.world, BENEFITS)
        for person in PEOPLE:
            self.world.person(person)
            for name, of in PERMITTED.items():
                self.world.subscribe(name, person, of[0])
        self.run_night(set(), None, None)

    @rule(said=facts())
    def a_fact_comes(self, said: Said) -> None:
        """A source says something."""
        said.say(self.world)

    @rule(said=st.lists(facts(), min_size=2, max_size=6))
    def facts_come(self, said: list[Said]) -> None:
        """Several things."""
        for each in said:
            each.say(self.world)

    @rule(said=records())
    def a_register_record_comes(self, said: Said) -> None:
        """The register says something."""
        said.say(self.world)

    @rule(said=st.lists(lines(), min_size=1, max_size=4))
    def partners_order(self, said: list[Said]) -> None:
        """Partners order."""
        for each in said:
            each.say(self.world)

    @rule(partner=st.sampled_from(PARTNERS), benefit=st.sampled_from([None, *BENEFITS]))
    def an_operator_refreshes(self, partner: str, benefit: str | None) -> None:
        """lefi refresh."""
        some = self.slow.refresh(partner, benefit, permissions(self.world.conf))
        self.world.lefi("refresh", "--partner", partner, *(("--benefit", benefit) if benefit else ()), code=0 if some else 3)

    @rule(source_run=st.sampled_from(["run A", "run B"]))
    def an_operator_retracts(self, source_run: str) -> None:
        """lefi retract."""
        self.world.lefi("retract", "--source-run", source_run, "--reason", f"not {source_run}")
        self.slow.retract(source_run, f"not {source_run}")

    @rule(permitted=st.booleans())
    def conf_permits(self, permitted: bool) -> None:
        """A permission is taken out of conf, or given again."""
        self.world.partner("KASSAN", *(PERMITTED["KASSAN"] if permitted else ("FK:SA",)))

    @rule(
        missing=st.sets(st.sampled_from([PERSONS, *BENEFITS]), max_size=2),
        broken=st.sampled_from([None, None, None, *BENEFITS]),
        place=st.sampled_from([None, *POINTS]),
    )
    def a_night(self, missing: set[str], broken: str | None, place: str | None) -> None:
        """The night comes, perhaps without some drops, perhaps with one that is damaged on its way, perhaps with a kill."""
        self.run_night(missing, broken, place)

    def run_night(self, missing: set[str], broken: str | None, place: str | None) -> None:
        """Run a night, and hold it against the slow one."""
        self.today += timedelta(days=1)
        self.world.drops(self.today, missing | (CATALOGUE.keys() - set(BENEFITS)))
        whole = self.damage(broken) if broken else None
        damaged = [self.world.folder(broken, self.today).name] if broken and whole else []
        expected = self.slow.night(self.today, permissions(self.world.conf), PARTNERS, damaged)
        if place:
            self.kill(place)
        self.world.night(self.today)
        self.is_as_expected(expected)
        if broken and whole:  # a killed process has left another folder
            self.file_of(broken).write_bytes(whole)

    def file_of(self, benefit: str) -> Path:
        """The file of tonight's drop of a benefit."""
        return self.world.folder(benefit, self.today) / "part-0.avro"

    def damage(self, benefit: str) -> bytes | None:
        """Damage the drop of a benefit, if it has a file; what was in it."""
        path = self.file_of(benefit)
        if not path.exists():
            return None
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        return whole

    def kill(self, place: str) -> None:
        """Run the night until it is killed at a place, if it comes there; go on from what the process left."""
        self.killed += 1
        died = self.folder / f"ws-{self.killed}"

        def die() -> None:
            shutil.copytree(self.world.root, died)
            raise KilledError

        failpoints.reached.clear()
        with patch.object(failpoints, "die", die), patch.dict(os.environ, {"LEFI_FAILPOINT": place}):
            try:
                self.world.night(self.today)
            except KilledError:
                shutil.rmtree(self.world.root)
                self.world.root = died
                self.slow.inbox = died / "inbox"

    def is_as_expected(self, expected: Night) -> None:
        """The deliveries are those of the slow lefi, record by record; folded, they are what each partner is entitled to; nobody else is told."""
        due = entitled(self.slow.past)
        for partner in PARTNERS:
            assert comparable(self.world.records(partner)) == comparable(expected.records[partner])
            assert self.receipts(partner) == expected.receipts.get(partner, [])
            knows = told(self.world, partner)
            for group, content in due.get(partner, {}).items():
                assert group[1] in expected.withheld or is_told(knows, group, content, self.slow.past)
            groups = {(self.slow.rules.names[person][0], benefit) for name, person, benefit in self.slow.rules.groups if name == partner}
            now = {(row["personnummer"], row["benefit"]) for row in self.world.records(partner) if row["action"] != "EMPTY"}
            assert now <= groups
            assert {benefit for _, benefit in now} <= {benefit for name, _, benefit in permissions(self.world.conf) if name == partner}
        withheld = {each["benefit"]: each["code"] for each in self.world.report()["withheld"]}
        assert withheld == expected.withheld

    def receipts(self, partner: str) -> list[Any]:
        """A delivery's receipts, in the order of the lines."""
        return [(row["order_id"], row["line_no"], row["code"], row["effective_on"]) for row in self.world.receipt_rows(partner)]

    def teardown(self) -> None:
        """Everything is sent again, and nobody learns anything; nobody is owed anything."""
        try:
            if hasattr(self, "slow"):
                self.run_night(set(), None, None)
                self.run_night(set(), None, None)
                assert self.world.lefi("reconcile", "--json").json["differences"] == 0
                before = {partner: told(self.world, partner) for partner in PARTNERS}
                for partner in PARTNERS:
                    self.an_operator_refreshes(partner, None)
                self.run_night(set(), None, None)
                for partner, known in before.items():
                    groups = entitled(self.slow.past).get(partner, {}).keys()
                    now = told(self.world, partner)
                    assert {group: now[group] for group in groups} == {group: known[group] for group in groups}
        finally:
            self.scratch.cleanup()


COMMON = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.fixture(autouse=True)
def in_this_thread() -> Iterator[None]:
    """Without Beam, and with folds often. Around all worlds of a test: one that failed left it so for the tests after it."""
    with straight(), patch.object(folds, "NIGHTS", 3):
        yield


def test_some_rows_of_nights() -> None:
    run_state_machine_as_test(Nights, settings=settings(COMMON, max_examples=2, stateful_step_count=8, derandomize=True))


@pytest.mark.slow
def test_many_rows_of_nights() -> None:
    run_state_machine_as_test(Nights, settings=settings(COMMON, max_examples=80, stateful_step_count=25))
