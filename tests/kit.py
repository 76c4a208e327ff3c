"""A workspace under test, told in sentences: who there is, what is decided and paid, what partners order, what each night delivers.

    world = World(tmp_path / "ws")
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP", since="2024-01-01")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.night("2024-05-21")
    assert world.told("BOLAGET", "action", "fact_id") == [("SNAPSHOT", "D1")]

What is said waits for the next business date and becomes its drops, one per chain, empty ones included, each naming the date before.
Every command that runs through a world is searched for personnummer: in what it prints, in names of files, and in runs/.
"""

import contextlib
import copy
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import yaml

from jobs.lefi import main
from schemas.contracts import BENEFIT_FACT, BY_DATASET, ORDER_LINE, PERSON, Contract
from schemas.personnummer import check_digit, is_valid
from schemas.summaries import require_summary
from storage import avro
from storage.inbox import HEAD
from tests.oracle.fold import Fold

ROOT = Path(__file__).parent.parent
MARKER = b"a marker of tests"[:16]
CATALOGUE: Mapping[str, Mapping[str, str]] = yaml.safe_load((ROOT / "conf" / "benefits.yaml").read_text("utf-8"))["benefits"]
NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
# What Delta and we call files and runs by chance or digest: one of some 40 000 of them ends in twelve digits that pass for a personnummer.
BY_CHANCE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9a-f]{12}")
TOLD = ("action", "personnummer", "benefit", "fact_id")

Row = dict[str, Any]
Day = str | date


def number(born: str, serial: int = 980) -> str:
    """A valid personnummer of somebody born on a date (YYYY-MM-DD). 980 to 999 are the serials of test numbers."""
    eleven = f"{born.replace('-', '')}{serial:03d}"
    return eleven + str(check_digit(eleven[2:]))


def numbers(count: int) -> list[str]:
    """Valid personnummer of different persons."""
    born = (date(1950, 1, 1) + timedelta(days=place // 20) for place in range(count))
    return [number(str(day), 980 + place % 20) for place, day in enumerate(born)]


ANNA, BO, CIA, DAN = number("1990-01-15"), number("1985-06-30"), number("2000-02-29"), number("1970-01-01")


def day(text: Day | None) -> date | None:
    """A date from YYYY-MM-DD."""
    return date.fromisoformat(text) if isinstance(text, str) else text


def midday(text: Day) -> datetime:
    """Noon of a date, UTC."""
    return datetime.combine(day(text) or date.min, datetime.min.time(), UTC) + timedelta(hours=12)


def span(first: Day, last: Day | None = None, extent: int = 1000, level: str | None = None, waiting: bool = False) -> Row:
    """A span of one day or more."""
    return {"first": day(first), "last": day(last or first), "extent_permille": extent, "level": level, "waiting": waiting}


@dataclass(frozen=True)
class Ran:
    """What a command came to. code: its exit code, minus the signal if it was killed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The summary that --json printed."""
        return json.loads(self.out)


@dataclass
class World:
    """A workspace, and what has been said about it that no drop holds yet.

    waiting: rows by chain (persons, benefits) or partner; consumed up to: `last`, business date of each chain's newest drop.
    """

    root: Path
    buckets: int = 4
    conf: dict[str, Any] = field(default_factory=dict)
    waiting: dict[str, list[Row]] = field(default_factory=dict)
    last: dict[str, date] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    written: set[date] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.lefi("init", "--buckets", str(self.buckets))
        self.write_conf()

    @classmethod
    def at(cls, root: Path, *written: Day) -> "World":
        """A workspace that is there already. written: the business dates whose drops lie in its inbox and wait."""
        made = object.__new__(cls)
        catalog = json.loads((root / "store" / "catalog.json").read_text("utf-8"))
        conf = yaml.safe_load((root / "conf" / "partners.yaml").read_text("utf-8"))["partners"]
        dates = {each for each in map(day, written) if each}
        made.__dict__.update(root=root, buckets=catalog["buckets"], conf=conf, waiting={}, last={}, registered=set(), written=dates)
        return made

    def twin(self, name: str = "twin") -> "World":
        """The same workspace once more, beside it, for what would have happened else."""
        return self.twin_at(self.root.with_name(f"{self.root.name}-{name}"))

    def twin_at(self, root: Path) -> "World":
        """The same workspace once more, in another folder."""
        shutil.copytree(self.root, root)
        other = copy.deepcopy(self.__dict__) | {"root": root}
        made = object.__new__(World)
        made.__dict__.update(other)
        return made

    # Conf

    def partner(self, name: str, *benefits: str, purpose: str = "insurance", **settings: Any) -> None:
        """A partner and what it may be told; all of the catalogue when no benefit is named. Said again: in place of what was said."""
        permissions = [{"purpose": purpose, "benefits": list(benefits or CATALOGUE)}]
        self.conf[name] = {"name": name, "permissions": permissions, **settings}
        self.write_conf()

    def write_conf(self) -> None:
        """Write conf/partners.yaml."""
        self.write("conf/partners.yaml", yaml.safe_dump({"partners": self.conf}, allow_unicode=True))

    def closures(self, *closed: Mapping[str, Any], off: Sequence[str] = ()) -> None:
        """Write conf/closures.yaml."""
        self.write("conf/closures.yaml", yaml.safe_dump({"closures": list(closed), "off": list(off)}))

    def units(self, others: Mapping[str, str]) -> None:
        """Write conf/benefits.yaml: the catalogue, some benefits of it with another unit."""
        changed = {benefit: {**entry, "unit": others.get(benefit, entry["unit"])} for benefit, entry in CATALOGUE.items()}
        self.write("conf/benefits.yaml", yaml.safe_dump({"benefits": changed}))

    def write(self, name: str, data: str | bytes) -> Path:
        """Write a file of the workspace."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    # What is said before a night

    def say(self, whose: str, row: Row) -> None:
        """Keep a row for the next drop of a chain or partner."""
        self.waiting.setdefault(whose, []).append(row)

    def person(self, personnummer: str, **fields: Any) -> None:
        """A register record: born when the number says, not protected, where nothing else is said."""
        with contextlib.suppress(ValueError):
            month_day = int(personnummer[6:8])
            fields.setdefault("birth_date", date(int(personnummer[:4]), int(personnummer[4:6]), month_day - 60 * (month_day > 60)))
        self.registered.add(personnummer)
        self.say("PERSONS", {"personnummer": personnummer, "protected": False} | dated(fields))

    def persons(self, *personnummer: str) -> None:
        """Register records of several."""
        for each in personnummer:
            self.person(each)

    def known(self, personnummer: str) -> None:
        """Register somebody who is not."""
        if personnummer not in self.registered:
            self.person(personnummer)

    def fact(self, benefit: str, personnummer: str, fact_id: str, kind: str = "DECISION", **fields: Any) -> None:
        """Any fact. drop: the benefit in whose drop it comes, if another one. Nobody is registered by it."""
        row = {"personnummer": personnummer, "benefit": benefit, "fact_id": fact_id, "kind": kind}
        usual = {"case_id": f"case of {benefit}", "version": 1, "withdrawn": False, "spans": []}
        self.say(fields.pop("drop", benefit), usual | row | dated(fields))

    def decision(
        self, personnummer: str, benefit: str, fact_id: str, first: Day, last: Day | None, extent: int = 1000, **fields: Any
    ) -> None:
        """A decision on a period, compensated throughout; spans: where it is not."""
        self.known(personnummer)
        spans = fields.pop("spans", [span(first, last or first, extent)])
        self.fact(benefit, personnummer, fact_id, period_from=first, period_to=last, spans=spans, extent_permille=extent, **fields)

    def payment(self, personnummer: str, benefit: str, fact_id: str, first: Day, last: Day, amount: str = "1000.00", **fields: Any) -> None:
        """A payment for a period."""
        self.known(personnummer)
        self.fact(benefit, personnummer, fact_id, "PAYMENT", period_from=first, period_to=last, amount=Decimal(amount), **fields)

    def claim(self, personnummer: str, benefit: str, fact_id: str, refers_to: str | None, first: Day, last: Day, **fields: Any) -> None:
        """A recovery claim of a payment."""
        self.known(personnummer)
        self.fact(benefit, personnummer, fact_id, "RECOVERY_CLAIM", period_from=first, period_to=last, refers_to=refers_to, **fields)

    def certificate(self, personnummer: str, fact_id: str, sent: Day, status: str, version: int = 1, **fields: Any) -> None:
        """A step of a life certificate's round."""
        self.known(personnummer)
        self.fact("PM:LINT", personnummer, fact_id, "LIFE_CERTIFICATE", period_from=sent, status=status, version=version, **fields)

    def order(self, partner: str, action: str, personnummer: str | None = None, benefit: str | None = None, **fields: str | None) -> None:
        """Any order line. Nobody is registered by it."""
        self.say(f"orders/{partner}", {"action": action, "personnummer": personnummer, "benefit": benefit} | fields)

    def subscribe(
        self, partner: str, personnummer: str, benefit: str, since: str = "2024-01-01", until: str | None = None, **fields: str
    ) -> None:
        """An order to watch a person and benefit."""
        self.known(personnummer)
        self.order(partner, "SUBSCRIBE", personnummer, benefit, **{"purpose": "insurance", "from_date": since, "end_date": until} | fields)

    def end(self, partner: str, personnummer: str, benefit: str, on: str | None = None) -> None:
        """An order to watch no longer."""
        self.order(partner, "END", personnummer, benefit, end_date=on)

    def refresh(self, partner: str, personnummer: str | None = None, benefit: str | None = None, **fields: str) -> None:
        """An order to have what was told again."""
        self.order(partner, "REFRESH", personnummer, benefit, **fields)

    # Drops

    def drops(self, business_date: Day, but: Iterable[str] = ()) -> None:
        """Write the drops of a business date; those of the chains in `but` do not come, and what was said for them waits on."""
        today, without = day(business_date) or date.min, set(but)
        self.written.add(today)
        for chain in {"PERSONS", *CATALOGUE} - without:
            head: Row = {"dataset": "persons"} if chain == "PERSONS" else {"dataset": "facts", "benefit": chain}
            if chain in self.last:
                head["previous_business_date"] = str(self.last[chain])
            self.drop(today, head, self.waiting.pop(chain, []))
            self.last[chain] = today
        for whose in [key for key in self.waiting if key.startswith("orders/")]:
            partner = whose.removeprefix("orders/")
            lines = [{"order_id": f"{partner}-{today}", "line_no": place} | row for place, row in enumerate(self.waiting.pop(whose), 1)]
            self.drop(today, {"dataset": "orders", "partner": partner}, lines)

    def drop(self, business_date: Day, head: Row, rows: Sequence[Row], name: str | None = None) -> Path:
        """Write one drop, of one Avro file where there are rows."""
        contract = BY_DATASET[head["dataset"]]
        files = {"part-0.avro": avro_bytes(contract, [completed(contract, row, place, business_date) for place, row in enumerate(rows)])}
        return self.raw_drop(business_date, head, files if rows else {}, {"part-0.avro": len(rows)}, name)

    def raw_drop(
        self, business_date: Day, head: Row, files: Mapping[str, bytes], rows: Mapping[str, int] | int = 0, name: str | None = None
    ) -> Path:
        """Write a drop of files as they are. rows: of each file."""
        folder = self.folder(str(head.get("benefit") or head.get("partner") or head["dataset"]), business_date, name)
        listed = [
            {"name": file, "rows": rows if isinstance(rows, int) else rows[file], "sha256": hashlib.sha256(data).hexdigest()}
            for file, data in files.items()
        ]
        folder.mkdir(parents=True)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        document = {"source": "tests", "business_date": str(business_date), **head, "files": listed}
        (folder / HEAD).write_text(json.dumps(document), "utf-8")
        return folder

    def folder(self, whose: str, business_date: Day, name: str | None = None) -> Path:
        """Where a drop lies, by its benefit, partner or `persons`."""
        return self.root / "inbox" / (name or f"{whose.lower().replace(':', '-')}-{business_date}")

    def edit_head(self, folder: Path, **changes: Any) -> None:
        """Change keys of a drop's head; None takes a key out."""
        head = json.loads((folder / HEAD).read_text("utf-8")) | changes
        (folder / HEAD).write_text(json.dumps({key: value for key, value in head.items() if value is not None}), "utf-8")

    # Commands

    def lefi(self, command: str, *arguments: str, code: int = 0) -> Ran:
        """Run a command in this process, as `lefi COMMAND WORKSPACE ...`; it must end with `code`."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([command, str(self.root), *arguments])
                ended = 0
            except SystemExit as done:
                ended = int(done.code or 0)
        return self.checked(Ran(ended, out.getvalue(), err.getvalue()), command, code)

    def process(self, command: str, *arguments: str, code: int | None = 0, failpoint: str = "", **options: Any) -> Ran:
        """Run a command as a process of its own. failpoint: where it is killed; options: of subprocess."""
        with self.started(command, *arguments, failpoint=failpoint, **options) as child:
            out, err = child.communicate()
        return self.checked(Ran(child.returncode, out, err), command, code)

    @contextlib.contextmanager
    def started(self, command: str, *arguments: str, failpoint: str = "", **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A command that is running as a process of its own; it is killed when the test is done with it."""
        line = [sys.executable, "-m", "jobs.lefi", command, str(self.root), *arguments]
        environment = os.environ | {"LEFI_FAILPOINT": failpoint}
        child = subprocess.Popen(line, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        try:
            yield child
        finally:
            child.kill()
            child.wait()

    def started_night(self, business_date: Day, **options: Any) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        """A night that is running as a process of its own."""
        return self.started("nightly", "--business-date", str(business_date), **options)

    def started_night_on(self, business_date: Day, runner: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        """The same on an engine."""
        return self.started("nightly", "--business-date", str(business_date), "--runner", runner)

    def killed_night(self, business_date: Day, failpoint: str) -> None:
        """Run a night in a process of its own that is killed (SIGKILL) at a named place."""
        self.process("nightly", "--business-date", str(business_date), failpoint=failpoint, code=-signal.SIGKILL)

    def night(self, business_date: Day, code: int = 0, but: Iterable[str] = (), *arguments: str) -> Ran:
        """Write the drops of a date, unless that was done, and run its night."""
        if day(business_date) not in self.written:
            self.drops(business_date, but)
        return self.lefi("nightly", "--business-date", str(business_date), "--json", *arguments, code=code)

    def checked(self, ran: Ran, command: str, code: int | None) -> Ran:
        """A command's end: with the right code, and nobody's number told."""
        if code is not None:
            assert ran.code == code, f"lefi {command} ended with {ran.code}, not {code}:\n{ran.out}\n{ran.err}"
        if ran.code == 0 and ran.out.startswith("{"):
            require_summary(command, ran.out)
        runs = [path.read_text("utf-8", "replace") for path in (self.root / "runs").rglob("*.*") if path.is_file()]
        names = [str(path.relative_to(self.root)) for path in self.root.rglob("*")]
        printed = [ran.err] if command == "explain" else [ran.out, ran.err]  # explain says on stdout whom it is about
        for where, texts in (("what it printed", printed), ("runs/", runs), ("names of files", names)):
            text = "\n".join(texts)
            found = {each for each in NUMBER.findall(BY_CHANCE.sub("", text)) if is_valid(each)} | {
                each for each in self.registered if each in text
            }
            assert not found, f"lefi {command}: a personnummer is in {where}: {found}"
        return ran

    # What came of it

    def deliveries(self, partner: str) -> list[Path]:
        """A partner's deliveries, in order."""
        return sorted((self.root / "outbox" / partner).glob("*"))

    def manifest(self, partner: str, sequence: int = 0) -> Any:
        """A delivery's manifest; the last one's if no sequence is given."""
        return json.loads((self.deliveries(partner)[sequence - 1] / "manifest.json").read_text("utf-8"))

    def records(self, partner: str, sequence: int = 0) -> list[Row]:
        """The records of a delivery, the last one's if no sequence is given."""
        folder = self.deliveries(partner)[sequence - 1]
        return [record for path in sorted(folder.glob("part-*.avro")) for record in avro_rows(path)]

    def told(self, partner: str, *fields: str, sequence: int = 0) -> list[Any]:
        """Of each record of a delivery these fields: action, personnummer, benefit and fact_id if none is named; plain values if it is one."""
        rows = [tuple(record[name] for name in fields or TOLD) for record in self.records(partner, sequence)]
        return [row[0] for row in rows] if len(fields) == 1 else rows

    def receipts(self, partner: str, sequence: int = 0) -> list[str]:
        """The codes of a delivery's receipts, in the order of order_id and line_no."""
        return [row["code"] for row in self.receipt_rows(partner, sequence)]

    def receipt_rows(self, partner: str, sequence: int = 0) -> list[Row]:
        """A delivery's receipts, in the order of order_id and line_no."""
        path = self.deliveries(partner)[sequence - 1] / "receipts.avro"
        rows = avro_rows(path) if path.exists() else []
        return sorted(rows, key=lambda row: (row["order_id"], row["line_no"]))

    def withheld(self, partner: str, sequence: int = 0) -> dict[str, str]:
        """Benefit -> code of what a delivery says is withheld."""
        return {each["benefit"]: each["code"] for each in self.manifest(partner, sequence)["withheld"]}

    def picture(self, partner: str) -> Fold:
        """What a partner knows, having folded all of its deliveries (R50)."""
        fold = Fold()
        for sequence in range(1, len(self.deliveries(partner)) + 1):
            fold.deliver(sequence, self.records(partner, sequence))
        return fold

    def outbox(self) -> dict[str, str]:
        """Every file of the outbox and the digest of its bytes."""
        files = (path for path in (self.root / "outbox").rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}

    def report(self) -> Any:
        """The report of the last run."""
        return json.loads(max((self.root / "runs").glob("*/report.json")).read_text("utf-8"))

    def drop_text(self, folder: Path) -> str:
        """State, code and text of a drop in the last run's report."""
        return next(f"{each['state']} {each['code']}: {each['text']}" for each in self.report()["drops"] if each["drop"] == folder.name)


def small_story(world: World, *dates: str) -> None:
    """Two partners and a dozen persons, with facts, changes and orders on every date: drops only, no night is run."""
    world.partner("BOLAGET", "FK:SJP", "FK:TFP")
    world.partner("KASSAN", "FK:SJP", "PM:AP")
    for place, person in enumerate(numbers(12)):
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.subscribe("KASSAN", person, ("FK:SJP", "PM:AP")[place % 2])
    for version, today in enumerate(dates, 1):
        for place, person in enumerate(numbers(12)):
            world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20", (1000, 750, 500)[version % 3], version=version)
            world.payment(person, "FK:SJP", f"P{version}", "2024-05-01", "2024-05-20")
            world.decision(person, "PM:AP", f"A{place}", "2024-01-01", None, version=version, case_id=f"case {version}")
        world.refresh("BOLAGET", benefit="FK:SJP")
        world.drops(today)


def dated(fields: Row) -> Row:
    """Fields with their dates made of texts."""
    names = ("period_from", "period_to", "birth_date", "deceased_on")
    return {name: day(value) if name in names else value for name, value in fields.items()}


def completed(contract: Contract, row: Row, place: int, business_date: Day) -> Row:
    """A row with all fields: recorded at noon of the business date, a minute after the row before, where nothing else is said."""
    known: Row = {"recorded_at": midday(business_date) + timedelta(minutes=place)}
    if contract is BENEFIT_FACT:
        known["source_run"] = f"{row['benefit']}/{business_date}"
    used = {name: value for name, value in known.items() if name in contract.fields}
    return dict.fromkeys(contract.fields) | used | row


def avro_bytes(contract: Contract, rows: Sequence[Row]) -> bytes:
    """Rows as an Avro file."""
    frame = pl.DataFrame(list(rows), schema=contract.frame, orient="row")
    return avro.header(contract, MARKER) + avro.encode(frame, contract, MARKER)


def avro_rows(path: Path) -> list[Row]:
    """The rows of an Avro file, read by another library than ours."""
    with path.open("rb") as file:
        return [dict(row) for row in fastavro.reader(file) if isinstance(row, dict)]


__all__ = ["ANNA", "BO", "CIA", "DAN", "ORDER_LINE", "PERSON", "Ran", "World", "avro_bytes", "day", "number", "numbers", "span"]
