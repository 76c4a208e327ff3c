"""`lefi generate`: drops of a synthetic population."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.generate import FILE_ROWS, files_of, generate, show
from schemas.contracts import BENEFIT_FACT, BY_DATASET, PERSON
from schemas.errors import RefusedError, UsageError
from storage import avro, csv_orders
from storage.conf import read_conf
from storage.inbox import HEAD, Drop, check_file, scan
from synthetic.catalogue import BENEFITS
from synthetic.partners import PARTNERS

PERSONS, NIGHTS, SEED = 2_000, 3, 7
Summary = dict[str, Any]
PER_DATE = 1 + len(BENEFITS) + len(PARTNERS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    workspace = tmp_path_factory.mktemp("made")
    return workspace, generate(workspace, PERSONS, NIGHTS, SEED)


def digests(workspace: Path) -> dict[str, str]:
    """The digest of every file."""
    files = (path for path in workspace.rglob("*") if path.is_file())
    return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def drops(workspace: Path) -> list[Drop]:
    """The inbox; every folder is a drop, and sound by its head."""
    found = [drop for drop in scan(workspace / "inbox") if isinstance(drop, Drop) and not drop.fault]
    assert len(found) == len(list((workspace / "inbox").iterdir()))
    return found


def read(drop: Drop) -> pl.DataFrame:
    """All rows of a drop."""
    contract = BY_DATASET[drop.dataset]
    paths = [check_file(drop, file) for file in drop.files]
    frames = [csv_orders.read(path) if path.suffix == ".csv" else avro.read(path, contract) for path in paths]
    return pl.concat([contract.frame.to_frame(), *frames])


def test_the_same_seed_makes_the_same_bytes(made: tuple[Path, Summary], tmp_path: Path) -> None:
    generate(tmp_path, PERSONS, NIGHTS, SEED)
    assert digests(tmp_path) == digests(made[0])


def test_another_seed_makes_other_bytes(made: tuple[Path, Summary], tmp_path: Path) -> None:
    generate(tmp_path, PERSONS, 1, SEED + 1)
    ours, theirs = digests(tmp_path), digests(made[0])
    assert not {digest for name, digest in ours.items() if name.endswith(".avro")} & set(theirs.values())


def test_every_file_is_what_its_drop_says_and_what_the_contract_accepts(made: tuple[Path, Summary]) -> None:
    rows = dict.fromkeys(BY_DATASET, 0)
    for drop in drops(made[0]):
        assert len(read(drop)) == drop.rows
        rows[drop.dataset] += drop.rows
    assert rows == made[1]["rows"]
    assert made[1]["drops"] == len(drops(made[0])) == NIGHTS * PER_DATE


def test_each_business_date_names_the_one_before(made: tuple[Path, Summary]) -> None:
    chains = [drop for drop in drops(made[0]) if drop.chain]
    assert {drop.chain for drop in chains} == {"PERSONS", *BENEFITS}
    before = {date(2026, 1, 5): None, date(2026, 1, 6): date(2026, 1, 5), date(2026, 1, 7): date(2026, 1, 6)}
    assert all(drop.previous == before[drop.business_date] for drop in chains)
    assert all(drop.name.endswith(f"-{drop.business_date}") for drop in chains)


def test_a_benefit_with_nothing_to_say_sends_a_drop_without_files(made: tuple[Path, Summary]) -> None:
    silent = [drop for drop in drops(made[0]) if drop.dataset == "facts" and not drop.files]
    assert silent
    assert {drop.rows for drop in silent} == {0}


def test_facts_are_those_of_their_drop(made: tuple[Path, Summary]) -> None:
    for drop in drops(made[0]):
        if drop.dataset == "facts" and drop.files:
            rows = read(drop)
            assert set(rows["benefit"]) == {drop.benefit}
            assert set(rows["source_run"]) == {f"{drop.benefit}/{drop.business_date}"}
            assert rows.select(pl.col("recorded_at").dt.date().max()).item() <= drop.business_date


def test_everybody_of_whom_there_are_facts_is_in_the_register(made: tuple[Path, Summary]) -> None:
    of = {dataset: pl.concat(read(drop) for drop in drops(made[0]) if drop.dataset == dataset) for dataset in ("persons", "facts")}
    assert of["persons"].schema == PERSON.frame
    assert of["facts"].schema == BENEFIT_FACT.frame
    assert set(of["facts"]["personnummer"]) <= set(of["persons"]["personnummer"])


def test_large_partners_order_in_avro_and_small_ones_in_csv(made: tuple[Path, Summary]) -> None:
    suffixes = {(drop.partner, Path(file.name).suffix) for drop in drops(made[0]) if drop.partner for file in drop.files}
    assert suffixes == {(partner.code, ".csv" if partner.csv else ".avro") for partner in PARTNERS}


def test_the_drops_say_that_they_are_synthetic(made: tuple[Path, Summary]) -> None:
    heads: list[dict[str, Any]] = [json.loads((Path(drop.folder) / HEAD).read_bytes()) for drop in drops(made[0])]
    assert {head["source"] for head in heads} == {"synthetic 1: 2000 persons from 2026-01-05, seed 7"}


def test_a_workspace_without_partners_gets_them_and_one_with_partners_keeps_its_own(tmp_path: Path, made: tuple[Path, Summary]) -> None:
    assert set(read_conf(made[0] / "conf").partners) == {partner.code for partner in PARTNERS}
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "partners.yaml").write_text("partners: {}\n")
    generate(tmp_path, 10, 1, SEED)
    assert (tmp_path / "conf" / "partners.yaml").read_text() == "partners: {}\n"


def test_a_second_run_keeps_what_is_there_and_more_nights_can_follow(tmp_path: Path, made: tuple[Path, Summary]) -> None:
    generate(tmp_path, PERSONS, 1, SEED)
    first = digests(tmp_path)
    told: list[str] = []
    again = generate(tmp_path, PERSONS, NIGHTS, SEED, progress=told.append)
    assert (again["kept"], again["drops"], len(told)) == (PER_DATE, (NIGHTS - 1) * PER_DATE, NIGHTS * PER_DATE)
    assert again["rows"] == made[1]["rows"]
    assert digests(tmp_path) == digests(made[0])
    assert first.items() <= digests(tmp_path).items()


def test_a_drop_that_a_killed_run_left_unfinished_is_made_again(tmp_path: Path) -> None:
    generate(tmp_path, 100, 1, SEED)
    whole = digests(tmp_path)
    folder = tmp_path / "inbox" / "fk-sjp-2026-01-05"
    (folder / HEAD).unlink()
    (folder / "part-0000.avro").write_bytes(b"Obj")
    assert generate(tmp_path, 100, 1, SEED)["drops"] == 1
    assert digests(tmp_path) == whole


@pytest.mark.parametrize("head", ['{"source": "somebody"}', "[]", "not JSON"])
def test_another_drop_of_one_of_the_names_is_refused_before_anything_is_written(tmp_path: Path, head: str) -> None:
    theirs = tmp_path / "inbox" / "pm-lint-2026-01-06"
    theirs.mkdir(parents=True)
    (theirs / HEAD).write_text(head)
    with pytest.raises(RefusedError, match="inbox/pm-lint-2026-01-06 is there already"):
        generate(tmp_path, 100, 2, SEED)
    assert list(digests(tmp_path)) == ["inbox/pm-lint-2026-01-06/_drop.json"]


def test_an_unknown_scenario_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--scenario S13: .*there are S02 \(payment periods .*S07 .*S09 .*S10 "):
        generate(tmp_path, 100, 1, SEED, scenario="S13")


@pytest.mark.parametrize(("persons", "nights"), [(0, 1), (100, 0)])
def test_numbers_below_one_are_wrong_usage(tmp_path: Path, persons: int, nights: int) -> None:
    with pytest.raises(UsageError, match=r"--persons 0|--nights 0"):
        generate(tmp_path, persons, nights, SEED)


@pytest.mark.parametrize("scenario", ["S02", "S07", "S09", "S10"])
def test_a_scenario_is_a_population_too(tmp_path: Path, scenario: str) -> None:
    made = generate(tmp_path, 300, 1, SEED, start=date(2024, 2, 29), scenario=scenario)
    assert (made["first"], made["last"]) == (date(2024, 2, 29), date(2024, 2, 29))
    assert min(made["rows"].values()) > 0


def test_a_single_person_is_a_population_too(tmp_path: Path) -> None:
    assert generate(tmp_path, 1, 2, SEED)["drops"] == 2 * PER_DATE


def test_the_summary_says_what_there_is_and_what_to_do_next(made: tuple[Path, Summary], capsys: pytest.CaptureFixture[str]) -> None:
    show({**made[1], "kept": 2}, Path("ws"))
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("84 drops made, 2 were there already: ")
    assert first.endswith("from 2026-01-05 to 2026-01-07")
    assert last == "Next: `lefi nightly ws --business-date 2026-01-05`, then the dates after it."


def test_files_are_cut_to_their_largest_size_and_none_is_empty() -> None:
    frames = [pl.DataFrame({"a": range(rows)}) for rows in (0, FILE_ROWS - 1, 2, FILE_ROWS * 2, 0)]
    assert [len(frame) for frame in files_of(frames)] == [FILE_ROWS, FILE_ROWS, FILE_ROWS, 1]
    assert pl.concat(files_of(frames)).equals(pl.concat(frames))
    assert list(files_of([])) == []
