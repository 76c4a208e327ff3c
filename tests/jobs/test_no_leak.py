"""No leak: all commands on a population whose every number is a needle; nothing but what holds persons by contract has one of them in it.

Searched are the bytes of all that was printed, of every record of every library's log, and of every file that is left in the workspace, the home
and the temporary folder, names and paths included; after kills and bugs too. Numbers are looked for with and without century and hyphen.
"""

import hashlib
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
import typer.main

from jobs.lefi import app, main
from schemas.contracts import BENEFIT_FACT, PERSON
from storage.inbox import HEAD
from tests.kit import ROOT, avro_bytes, avro_rows
from tests.needles import Needles, content

PERSONS, SEED, START = 600, 5, "2026-01-05"
DATES = ("2026-01-05", "2026-01-06", "2026-01-07")
PARTNER = "LIVBOLAGET-TEST"

# What holds personnummer because the contract, or the work itself, wants it there. Everything else in a workspace is searched.
HOLDS_PERSONS = {
    "conf/*": "what the operator wrote; a night whose conf has a number is refused",
    "inbox/*": "what sources and partners sent; never changed by us",
    "outbox/*/part-*.avro": "the records that a partner is told (contract, section 4)",
    "store/facts/*.parquet": "the bucket store",
    "store/persons/*.parquet": "the bucket store",
    "store/told/*.parquet": "the ledger",
    "store/touched/*.parquet": "who is still to be compared",
    "store/recalculated/*.parquet": "whose cases a recalculation looked at",
    "store/commands/*.parquet": "whom a refresh, or a heal, is about",
    "lake/subscriptions/*.parquet": "who is watched",
    "lake/members/*.parquet": "who waits for a refresh",
    "lake/quarantine/*.parquet": "records that were rejected",
    "lake/identities/*.parquet": "changed numbers",
    "staging/*.parquet": "unfinished work on all of these; gone when the night has settled",
    "staging/*.avro": "deliveries that are not published yet",
    "staging/*/parts/*": "parts of these deliveries",
    "pictures/*": "a partner's own picture",
}
# Commands whose answer is about a person whom the operator has named.
ANSWERS_ABOUT_PERSONS = {"explain": "stdout says why a partner was told what it was told about this person"}


@dataclass
class Watch:
    """A workspace, a home and a temporary folder that are watched, and all that the commands said."""

    root: Path
    home: Path
    needles: Needles = field(default_factory=lambda: Needles(frozenset()))
    ran: set[str] = field(default_factory=set)
    leaks: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    clean: dict[Path, tuple[int, ...]] = field(default_factory=dict)

    def lefi(self, command: str, *arguments: str, at: Path | None = None, stdin: str = "", code: int | None = 0) -> bytes:
        """Run a command here, with every library's log at its most talkative; what it says is searched. Returns what it printed."""
        out, err = self.home / "out", self.home / "err"
        ended = 0
        with into(out, 1), into(err, 2), all_logs() as logged, typed(stdin):
            try:
                main([command, str(at or self.root), *arguments])
            except SystemExit as done:
                ended = int(done.code or 0)
        said = out.read_bytes(), err.read_bytes()
        out.unlink()
        err.unlink()
        self.search(command, ended, said, "\n".join(logged).encode(), code)
        return b"".join(said)

    def process(self, command: str, *arguments: str, code: int | None, environment: dict[str, str], program: str = "") -> bytes:
        """The same as a process of its own. program: Python that is run before the command line."""
        line = [
            sys.executable,
            "-c",
            f"{program}\nimport sys; from jobs.lefi import main; main(sys.argv[1:])",
            command,
            str(self.root),
            *arguments,
        ]
        of_home = {"HOME": str(self.home), "TMPDIR": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        ran = subprocess.run(line, cwd=ROOT, env=os.environ | of_home | environment, capture_output=True, check=False)
        self.search(command, ran.returncode, (ran.stdout, ran.stderr), b"", code)
        return ran.stdout + ran.stderr

    def search(self, command: str, ended: int, said: Sequence[bytes], logged: bytes, code: int | None) -> None:
        """Search what a command printed, and logged, and the disk after it."""
        self.ran.add(command)
        assert code in (None, ended), f"lefi {command} ended with {ended}, not {code}: {said[0][-2000:]!r} {said[1][-2000:]!r}"
        assert b"Traceback" not in said[1], said[1].decode()
        streams = {"stdout": b"" if command in ANSWERS_ABOUT_PERSONS and not ended else said[0], "stderr": said[1], "log": logged}
        self.leaks += [f"lefi {command}: {name}: {shown(data, self.needles)}" for name, data in streams.items() if self.needles.found(data)]
        self.leaks += [f"after lefi {command}: {place}" for place in self.on_disk()]

    def on_disk(self) -> Iterator[str]:
        """Names of files, and files that must not have a number, with one."""
        for folder in (self.root, self.home):
            for path in folder.rglob("*"):
                name = str(path.relative_to(folder))
                if self.needles.found(name.encode()) and not name.startswith("inbox/"):
                    yield f"the name of a file in {name.split('/', maxsplit=1)[0]}"
                if not path.is_file() or any(fnmatch(name, pattern) for pattern in HOLDS_PERSONS):
                    continue
                state = path.stat()
                seen = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
                if self.clean.get(path) != seen:
                    if self.needles.found(content(path)):
                        yield name
                    else:
                        self.clean[path] = seen


def shown(data: bytes, needles: Needles) -> str:
    """The lines that have a number, for whoever mends it: these persons are invented."""
    return " | ".join(line.decode("utf-8", "replace")[:300] for line in data.splitlines() if needles.found(line))[:2000]


@contextmanager
def into(path: Path, stream: int) -> Iterator[None]:
    """Send what anybody in this process prints, libraries in other languages too, to a file."""
    name = {1: "stdout", 2: "stderr"}[stream]
    before, kept = getattr(sys, name), os.dup(stream)
    before.flush()
    with path.open("wb") as file:
        os.dup2(file.fileno(), stream)
    with io.TextIOWrapper(os.fdopen(os.dup(stream), "wb"), encoding="utf-8", write_through=True) as text:
        setattr(sys, name, text)
        try:
            yield
        finally:
            text.flush()
            setattr(sys, name, before)
            os.dup2(kept, stream)
            os.close(kept)


@contextmanager
def all_logs() -> Iterator[list[str]]:
    """Every record that any library logs, of every level, as text."""
    logged: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(self.format(record))

    logger, handler = logging.getLogger(), Keep()
    level, others = logger.level, logger.handlers[:]
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    try:
        yield logged
    finally:
        logger.handlers[:] = others
        logger.setLevel(level)


@contextmanager
def typed(text: str) -> Iterator[None]:
    """Type a text on stdin."""
    before = sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


def numbers_in(inbox: Path) -> frozenset[bytes]:
    """Every number of the population, register, facts and orders."""
    wanted = ("personnummer", "former_personnummer")
    rows = [row for path in inbox.rglob("*.avro") for row in avro_rows(path)]
    rows += [row for path in inbox.rglob("*.csv") for row in pl.read_csv(path, infer_schema=False).to_dicts()]
    return frozenset(row[name].encode() for row in rows for name in wanted if re.fullmatch("[0-9]{12}", row.get(name) or ""))


def rewrite(folder: Path, files: dict[str, tuple[bytes, int]] | None = None, **head: Any) -> None:
    """Give a drop other files (bytes and rows), and another head."""
    found = json.loads((folder / HEAD).read_text("utf-8"))
    for name, (data, _) in (files or {}).items():
        (folder / name).write_bytes(data)
    listed = [{"name": n, "rows": rows, "sha256": hashlib.sha256(data).hexdigest()} for n, (data, rows) in (files or {}).items()]
    (folder / HEAD).write_text(json.dumps(found | ({"files": listed} if files else {}) | head), "utf-8")


def facts_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a drop's Avro files."""
    return [row for path in sorted(folder.glob("*.avro")) for row in avro_rows(path)]


def with_rejected(inbox: Path) -> None:
    """The facts of a date, and records that break each rule of R35 for persons of the population."""
    folder = inbox / f"fk-sjp-{DATES[1]}"
    rows = facts_of(folder)
    sound = next(row for row in facts_of(inbox / f"fk-sjp-{DATES[0]}") if row["kind"] == "PAYMENT")
    first, last = sound["period_from"], sound["period_to"]
    wrong: list[dict[str, Any]] = [
        {"benefit": "FK:FP"},
        {"benefit": sound["personnummer"]},
        {"case_id": ""},
        {"period_from": last, "period_to": first} if first != last else {"period_from": None},
        {"spans": [{"first": last, "last": first, "extent_permille": 1, "level": sound["personnummer"], "waiting": False}]},
        {"extent_permille": 1001, "outcome": sound["personnummer"], "reason": sound["personnummer"]},
        {"personnummer": sound["personnummer"] + " "},
        {"personnummer": f"{sound['personnummer'][:8]}-{sound['personnummer'][8:]}"},
        {"stated_days": 999_999},
    ]
    rows += [sound | {"fact_id": f"wrong-{place}"} | each for place, each in enumerate(wrong)]
    rewrite(folder, {"part-0.avro": (avro_bytes(BENEFIT_FACT, rows), len(rows))})


def broken_drops(inbox: Path, person: str) -> None:
    """Drops of the last date that are broken, each in another way, with a number where it is broken."""
    of = {benefit: inbox / f"fk-{benefit}-{DATES[2]}" for benefit in ("fp", "tfp", "as", "bob", "np", "gp", "sbp", "rbe", "dpe")}
    rows = facts_of(inbox / f"fk-fp-{DATES[0]}")[:20]
    whole = avro_bytes(BENEFIT_FACT, rows)
    schema = json.loads(json.dumps(BENEFIT_FACT.schema))
    next(each for each in schema["fields"] if each["name"] == "version")["type"] = "string"
    schema["fields"].append({"name": f"p{person}", "type": "string", "default": person})
    other = io.BytesIO()
    fastavro.writer(other, schema, [row | {"version": person, f"p{person}": person} for row in rows])
    rewrite(of["fp"], {"part-0.avro": (whole[:-40], len(rows))})
    rewrite(of["tfp"], {"part-0.avro": (whole, len(rows) + 1)})
    rewrite(of["as"], {"part-0.avro": (other.getvalue(), len(rows))})
    rewrite(of["bob"], files=None, previous_business_date=person)
    rewrite(of["np"], files=None, business_date=person)
    rewrite(of["gp"], {"part-0.avro": (person.encode() * 50, 1)})
    rewrite(of["sbp"], {f"{person}.avro": (whole, len(rows))})
    (of["sbp"] / f"{person}.avro").unlink()
    rewrite(of["rbe"], files=None, benefit=person)
    (of["dpe"] / HEAD).write_text(f'{{"source": "{person}", "dataset": "{person}"')
    orders = inbox / f"orders-tjanstepension-test-{DATES[2]}"
    for name, text in {
        "cut": f"order_id,line_no,action,personnummer\nO,1,SUBSCRIBE,{person}\nO,2,END,{person},{person},\n",
        "numbered": f"order_id,line_no,action,personnummer\nO,{person},SUBSCRIBE,{person}\n",
        "headless": f"{person},{person}\n{person},1\n",
    }.items():
        folder = inbox / f"orders-{name}"
        shutil.copytree(next(iter(inbox.glob(f"orders-*-{DATES[2]}"))), folder)
        rewrite(folder, {"lines.csv": (text.encode(), 1)})
    assert orders.name
    unknown = inbox / "orders-unknown"
    shutil.copytree(inbox / "orders-cut", unknown)
    rewrite(unknown, files=None, partner=person)
    (inbox / "half").mkdir()
    (inbox / "half" / "part.avro").write_bytes(whole)


def wrong_orders(inbox: Path, person: str) -> None:
    """Order lines with a number in every place where it does not belong."""
    lines = [
        f"{person},SUBSCRIBE,FK:SJP,insurance,2026-01-01,",
        f"SUBSCRIBE,{person},{person},insurance,2026-01-01,",
        f"SUBSCRIBE,{person},FK:SJP,{person},2026-01-01,",
        f"SUBSCRIBE,{person},FK:SJP,insurance,{person},{person}",
        f"SUBSCRIBE,{person[:-1]},FK:SJP,insurance,2026-01-01,",
        f"END,{person},FK:SJP,,,{person}",
    ]
    text = "order_id,line_no,action,personnummer,benefit,purpose,from_date,end_date\n" + "".join(
        f"WRONG,{place},{line}{',' * (5 - line.count(','))}\n" for place, line in enumerate(lines)
    )
    folder = inbox / "orders-wrong"
    shutil.copytree(next(iter(inbox.glob(f"orders-*-{DATES[1]}"))), folder)
    rewrite(folder, {"lines.csv": (text.encode(), len(lines))})


def wrong_register(inbox: Path, person: str) -> None:
    """Register records that break R11, beside the sound ones."""
    folder = inbox / f"persons-{DATES[1]}"
    rows = facts_of(folder)
    sound = facts_of(inbox / f"persons-{DATES[0]}")[0] | {"recorded_at": datetime(2026, 1, 6, tzinfo=UTC)}
    rows += [
        sound | each
        for each in ({"personnummer": person[:-1]}, {"former_personnummer": person + "0"}, {"former_personnummer": sound["personnummer"]})
    ]
    rewrite(folder, {"part-0.avro": (avro_bytes(PERSON, rows), len(rows))})


def spoilt_conf(person: str) -> dict[str, str]:
    """Conf files that cannot be used, with a number where they are wrong: by name."""
    partner = "partners: {B: {permissions: [{purpose: insurance, benefits: ['FK:SJP']}]}}"
    return {
        "partners.yaml": f"partners: {{B: {{{person}: red, permissions: []}}}}",
        "./partners.yaml": partner.replace("FK:SJP", person),
        "././partners.yaml": partner.replace("permissions", f"refresh_persons_per_night: 'x{person}', permissions"),
        "./././partners.yaml": f"partners: {{'../{person}': {{permissions: []}}}}",
        "././././partners.yaml": f"partners: {{{person}: [\n{person}: &{person}",
        "./././././partners.yaml": f"partners: {{}}\n{person}: 1\n{person}: 2",
        "./.././conf/partners.yaml": partner.replace("B:", f"{person}:"),
        "././../conf/partners.yaml": partner.replace("{permissions", f"{{name: 'for {person}', permissions"),
        "closures.yaml": f"off: [{person}]",
        "./closures.yaml": f"closures: [{{benefits: [FK:SJP], from: '{person}', until: {person}}}]",
        "benefits.yaml": f"benefits: {{{person}: {{name: x, unit: {person}}}}}",
        "rules/guarantee.yaml": f"factors: {person}",
    }


def forms(person: str) -> tuple[str, ...]:
    """A number as people write it, or as it stands in something else; the last ones are the most usual."""
    short = person[2:]
    return f"P{person}", short, f"{person[:8]}-{person[8:]}", f"{short[:6]}-{short[6:]}", f"P{person}Q", person


def bad_arguments(person: str, written: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """Command lines with a number where none belongs. written: how it is written."""
    for wrong in written:
        yield "nightly", "--business-date", wrong
        yield "nightly", "--business-date", DATES[0], "--runner", wrong
        yield "nightly", wrong
        yield "nightly", f"--{wrong}", "x"
        yield "refresh", "--partner", wrong
        yield "refresh", "--partner", PARTNER, "--benefit", wrong
        yield "refresh", "--partner", PARTNER, "--born-from", wrong
        yield "refresh", "--partner", PARTNER, "--person", f"{wrong}x"
        yield "explain", "--partner", wrong, "--person", person
        yield "explain", "--partner", PARTNER, "--person", f"{wrong}x"
        yield "explain", "--partner", PARTNER, "--person", person, "--benefit", wrong
        yield "retract", "--source-run", "R", "--reason", f"it concerns {wrong}", "--source-run", "FK:SJP/2026-01-05"
        yield "accept", wrong, "--reason", "R"
        yield "accept", f"fk-sjp-{DATES[0]}", "--reason", f"as {wrong} said"
        yield "release", wrong, "--reason", "R"
        yield "reconcile", "--partner", wrong
        yield "rehearse", "--business-date", DATES[2], "--partner", wrong
        yield "rehearse", "--business-date", DATES[2], "--conf", wrong
        yield "recalculate", "--rule", wrong, "--effective", "2026-01-01", "--reason", "R", "--first-night", DATES[2], "--nights", "1"
        yield (
            "recalculate",
            "--rule",
            "guarantee",
            "--effective",
            "2026-01-01",
            "--reason",
            wrong,
            "--first-night",
            DATES[2],
            "--nights",
            "1",
        )
        yield "recalculate", "--cancel", wrong
        yield "init", "--buckets", wrong
        yield "generate", "--persons", wrong, "--nights", "1", "--seed", "1"
        yield "generate", "--persons", "1", "--nights", "1", "--seed", "1", "--scenario", wrong
        yield "receive", wrong
        yield "compact", wrong
        yield "rebuild", wrong
        yield "status", wrong
        yield "erase", "--person", wrong
        yield "erase", wrong
        yield "export", "--partner", wrong, "--to", "x", "--recipient", wrong
        yield "export", "--partner", PARTNER, "--to", "x", "--recipient", f"age1{wrong}"
        yield "unpack", wrong, "--identity", wrong
        yield "key", "--publish", wrong, "--valid-from", wrong
        yield "schemas", wrong, wrong


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """A population of which every number is a needle, and one night of it."""
    top = tmp_path_factory.mktemp("watched")
    (top / "home").mkdir()
    found = Watch(top / "ws", top / "home")
    found.lefi("init", "--buckets", "8")
    found.lefi("generate", "--persons", str(PERSONS), "--nights", "3", "--seed", str(SEED), "--start", START)
    found.needles = Needles(numbers_in(found.root / "inbox"))
    assert len(found.needles.numbers) > PERSONS
    found.lefi("nightly", "--business-date", DATES[0])
    shutil.copytree(found.root, top / "first")
    return found


def a_person(watch: Watch) -> str:
    """Somebody of whom a partner was told."""
    part = next(iter((watch.root / "outbox" / PARTNER / "00000001").glob("part-*.avro")))
    return str(avro_rows(part)[0]["personnummer"])


@pytest.fixture(scope="module")
def lived(watch: Watch) -> Watch:
    """The same after all commands, sound and not, and two more nights of bad input."""
    person, inbox = a_person(watch), watch.root / "inbox"
    for command in ("status", "compact"):
        watch.lefi(command)
        watch.lefi(command, "--json")
    for number in (person, "-"):
        watch.lefi("refresh", "--partner", PARTNER, "--person", number, stdin=f"{person}\n")
        watch.lefi("explain", "--partner", PARTNER, "--person", number, "--json", stdin=f"{person}\n")
    watch.lefi("explain", "--partner", PARTNER, "--person", person)
    for arguments in bad_arguments(person, forms(person)[-2:]):
        watch.lefi(*arguments, code=None)
    sound = (watch.root / "conf" / "partners.yaml").read_bytes()
    for name, text in spoilt_conf(person).items():
        path = watch.root / "conf" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        watch.lefi("nightly", "--business-date", DATES[1], code=2)
        watch.lefi("rehearse", "--business-date", DATES[1], code=2)
        path.unlink()
        (watch.root / "conf" / "partners.yaml").write_bytes(sound)
    with_rejected(inbox)
    wrong_orders(inbox, person)
    wrong_register(inbox, person)
    watch.lefi("nightly", "--business-date", DATES[1], "--json")
    broken_drops(inbox, person)
    held_back = json.loads(watch.lefi("status", "--json"))["quarantine"]
    watch.lefi("release", held_back[0]["id"], "--reason", "a test")
    watch.lefi("retract", "--source-run", f"FK:FP/{DATES[0]}", "--reason", "a test")
    watch.lefi("accept", f"fk-tfp-{DATES[2]}", "--reason", "a test", "--json")
    recalculation = ("--rule", "guarantee", "--effective", "2026-01-01", "--reason", "a test", "--first-night", DATES[2], "--nights", "2")
    watch.lefi("recalculate", *recalculation, "--plan", "--page", str(watch.home / "plan.html"))
    watch.lefi("recalculate", *recalculation, "--plan", "--json")
    watch.lefi("recalculate", *recalculation)
    shutil.copytree(watch.root / "conf", watch.home / "conf")
    benefits = (ROOT / "conf" / "benefits.yaml").read_text("utf-8").replace("CALENDAR_DAY", "FIVE_DAY_WEEK")
    (watch.home / "conf" / "benefits.yaml").write_text(benefits, "utf-8")
    rehearsed = watch.lefi("rehearse", "--business-date", DATES[2], "--conf", str(watch.home / "conf"))
    assert b"CORRECTED" in rehearsed
    watch.lefi("nightly", "--business-date", DATES[2])
    watch.lefi("status")
    watch.lefi("recalculate", "--cancel", "recalculation-000001", code=None)
    shutil.copy(watch.home / "conf" / "benefits.yaml", watch.root / "conf" / "benefits.yaml")
    found = json.loads(watch.lefi("reconcile", "--heal", "--json"))
    assert found["differences"]
    watch.lefi("reconcile")
    (watch.root / "pictures").mkdir()
    for where in ("", "--json"):
        watch.lefi("receive", str(watch.root / "pictures" / "p.duckdb"), *filter(None, [where]), at=watch.root / "outbox" / PARTNER)
    damaged = watch.root / "pictures" / "outbox" / PARTNER
    shutil.copytree(watch.root / "outbox" / PARTNER, damaged)
    part = next(iter((damaged / "00000001").glob("part-*.avro")))
    part.write_bytes(part.read_bytes()[:-100])
    watch.lefi("receive", str(watch.root / "pictures" / "q.duckdb"), at=damaged, code=4)
    encrypted(watch, damaged)
    watch.lefi("compact", "--all")
    watch.lefi("rebucket")
    watch.lefi("engines", "flink", at=Path("status"), code=None)
    shutil.rmtree(watch.root / "store" / "told")
    watch.lefi("rebuild", code=None)
    files = {str(path.relative_to(watch.root)): path for path in watch.root.rglob("*") if path.suffix in (".parquet", ".avro")}
    sound = {
        name: path for name, path in files.items() if not name.startswith(("inbox/", "pictures/"))
    }  # there, some are damaged on purpose
    watch.held = {
        pattern for pattern in HOLDS_PERSONS for name in sound if fnmatch(name, pattern) and watch.needles.found(content(sound[name]))
    }
    numbers = watch.root / "pictures" / "numbers"
    numbers.write_text(f"{person}\n{person}x\n", "utf-8")
    watch.lefi("erase", "--person", str(numbers), code=2)
    numbers.unlink()
    for arguments in (("--plan",), ("--plan", "--json"), ("--end-subscriptions",), ("--end-subscriptions", "--json")):
        watch.lefi("erase", "--person", "-", *arguments, stdin=f"{person}\n")
    watch.lefi("erase", "--json")
    watch.lefi("schemas", at=watch.home / "schemas")
    watch.lefi("status", "--html", str(watch.home / "notices"))
    return watch


def encrypted(watch: Watch, damaged: Path) -> None:
    """Sign, encrypt and open deliveries, and fail at it."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    secret = watch.root / "pictures" / "secret"
    secret.write_text(f"{identity}\n", "utf-8")
    watch.lefi("key", "--publish", str(watch.root / "pictures" / "keys.json"), at=watch.root / "pictures" / "signing.pem")
    sent = watch.root / "pictures" / "sent"
    watch.lefi("export", "--partner", PARTNER, "--to", str(sent), "--recipient", str(identity.to_public()))
    watch.lefi("unpack", str(watch.root / "pictures" / "home" / PARTNER), "--identity", str(secret), at=sent)
    path = next(iter(sent.iterdir()))
    path.write_bytes(path.read_bytes()[:-100])
    watch.lefi("unpack", str(watch.root / "pictures" / "again" / PARTNER), "--identity", str(secret), at=sent, code=None)
    keys = ("--keys", str(watch.root / "pictures" / "keys.json"))
    watch.lefi("receive", str(watch.root / "pictures" / "r.duckdb"), *keys, at=damaged, code=4)


def test_a_night_and_what_is_asked_of_it_let_no_number_out(watch: Watch) -> None:
    """The quick case: the first night, its answers, and a number in the place of each argument."""
    person = a_person(watch)
    watch.lefi("status", "--json")
    watch.lefi("explain", "--partner", PARTNER, "--person", "-", stdin=f"{person}\n")
    for arguments in bad_arguments(person, [person]):
        if arguments[0] not in ("reconcile", "rehearse", "nightly"):
            watch.lefi(*arguments, code=None)
    assert watch.leaks == []


@pytest.mark.slow
def test_no_command_lets_a_number_out(lived: Watch) -> None:
    assert lived.leaks == []


@pytest.mark.slow
def test_every_command_was_run(lived: Watch) -> None:
    group: Any = typer.main.get_command(app)
    assert lived.ran == set(group.commands)


@pytest.mark.slow
def test_what_holds_persons_by_contract_is_all_that_does(lived: Watch) -> None:
    """An exclusion that is not needed would hide a leak."""
    unsettled = ("inbox/", "staging/", "pictures/", "conf/")
    assert lived.held == {pattern for pattern in HOLDS_PERSONS if not pattern.startswith(unsettled)}
    assert not list((lived.root / "staging").iterdir())


@pytest.mark.parametrize(
    "form",
    [lambda n: n, lambda n: n[2:], lambda n: f"{n[:8]}-{n[8:]}", lambda n: f"{n[2:8]}+{n[8:]}", lambda n: f"x{n}y", lambda n: f"1{n}2"],
)
def test_a_number_that_leaks_is_found(watch: Watch, tmp_path: Path, form: Callable[[str], str]) -> None:
    planted = form(next(iter(watch.needles.numbers)).decode())
    for text in (planted.encode(), f"log: {planted}, and so on".encode(), planted.encode("utf-16-le")):
        assert watch.needles.found(text)
    named = Watch(tmp_path / "ws", tmp_path / "home", watch.needles)
    (named.root / "runs").mkdir(parents=True)
    (named.root / "runs" / planted).write_text("")
    (named.root / "runs" / "report.json").write_text(planted)
    assert sorted(named.on_disk()) == ["runs/report.json", "the name of a file in runs"]


@pytest.mark.slow
def test_a_number_in_the_wrong_place_is_not_repeated_however_it_is_written(watch: Watch) -> None:
    person = a_person(watch)
    for arguments in bad_arguments(person, forms(person)):
        watch.lefi(*arguments, code=None)
    assert watch.leaks == []


# A night that dies or fails leaves its dead body on the disk: staging, notes, what the engine wrote into the temporary folder.
KILLS = ("tables.stage:tables", "stage", "commit.before", "commit.after", "publish:2", "settle.told.before", "settle.report")
BUGS = {
    "in a rule": ("pipelines.view", "compensate", "ValueError"),
    "in the plan": ("pipelines.run", "make_plan", "KeyError"),
    "in a library": ("pipelines.take", "judge", "polars.exceptions.ComputeError"),
}


def bug(place: str, person: str) -> str:
    """Python that puts a bug into the code, whose text names a person."""
    module, function, error = BUGS[place]
    return f"import polars, {module}\ndef bug(*_, **__): raise {error}('could not do it for {person}')\n{module}.{function} = bug"


@pytest.fixture
def dying(watch: Watch, tmp_path: Path) -> Watch:
    """A copy of the first night's workspace, for a night that fails."""
    shutil.copytree(watch.root.with_name("first"), tmp_path / "ws")
    (tmp_path / "home").mkdir()
    return Watch(tmp_path / "ws", tmp_path / "home", watch.needles)


@pytest.mark.parametrize("place", [KILLS[1], *(pytest.param(place, marks=pytest.mark.slow) for place in (KILLS[0], *KILLS[2:]))])
def test_a_killed_night_leaves_no_number_outside_its_unfinished_work(dying: Watch, place: str) -> None:
    dying.process("nightly", "--business-date", DATES[1], code=-signal.SIGKILL, environment={"LEFI_FAILPOINT": place})
    dying.lefi("status")
    assert dying.leaks == []


@pytest.mark.parametrize("place", ["in a rule", *(pytest.param(place, marks=pytest.mark.slow) for place in list(BUGS)[1:])])
def test_a_bug_whose_text_has_a_number_does_not_tell_it(dying: Watch, place: str) -> None:
    program = bug(place, a_person(dying))
    said = dying.process("nightly", "--business-date", DATES[1], code=1, environment={}, program=program)
    assert b"this is a bug of ours" in said
    assert dying.leaks == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["store/facts", "lake/subscriptions", "store/persons", "store/told"])
def test_a_damaged_table_is_told_without_a_number(dying: Watch, what: str) -> None:
    for path in (dying.root / what).glob("*.parquet"):
        data = bytearray(path.read_bytes())
        data[100 : len(data) // 2] = a_person(dying).encode() * ((len(data) // 2 - 100) // 12)
        path.write_bytes(data)
    for command in (("nightly", "--business-date", DATES[1]), ("reconcile",), ("rebuild",), ("compact", "--all")):
        dying.lefi(*command, code=None)
    assert dying.leaks == []
