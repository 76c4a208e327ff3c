"""The command line. Heavy libraries are imported by the commands that need them, so that `--help` and `status` answer at once."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from schemas.errors import BugError, DiskError, LefiError, UsageError, is_failure, masked, place_of, storage_reason

if TYPE_CHECKING:
    from storage.workspace import Workspace

# The commands as somebody looks for them.
PARTS = {
    "To begin with": ("init", "generate"),
    "The night": ("nightly", "status", "rehearse"),
    "Decisions, which the next night takes": ("refresh", "recalculate", "retract", "accept", "release"),
    "Questions": ("explain", "reconcile"),
    "Upkeep": ("compact", "rebucket", "rebuild", "erase", "key", "export", "engines"),
    "The partner's side": ("receive", "unpack", "schemas"),
}


class Commands(TyperGroup):
    """The commands, by what they are for, each with its whole sentence."""

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """Write them into the help."""
        for part, names in PARTS.items():
            rows = [(name, self.commands[name].get_short_help_str(limit=300)) for name in names]
            with formatter.section(part):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=Commands,
    help="lefi tells partners, every night, what has changed for the persons and benefits that they subscribe to.",
    no_args_is_help=True,
    rich_markup_mode=None,  # its library alone takes longer to import than help may take
    epilog="A first try: lefi init WS; lefi generate WS --persons 1000 --nights 3 --seed 1; lefi nightly WS --business-date 2026-01-05; lefi status WS",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 140},
)


def a_folder(text: str) -> Path:
    """A folder that is there, or that can be made."""
    path = Path(text)
    there = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if not os.path.isdir(there):  # in contrast to Path's it raises nothing where we may not look
        raise typer.BadParameter(f"{there} is no folder")
    return path


def a_place(text: str) -> Path:
    """A folder, or s3://BUCKET/KEY."""
    if "://" not in text:
        return a_folder(text)
    from storage.place import place

    return place(text)


AGAIN = "give the command again; what was not committed has not happened, what was will be completed"
MEND = f"mend it and {AGAIN}"
INTERRUPTED = 130  # as a shell says it of a program that Ctrl-C ended
WorkspaceArgument = Annotated[
    Path,
    typer.Argument(
        parser=a_place, metavar="WORKSPACE", help="The folder with conf, inbox, outbox and runs, or s3://BUCKET/KEY.", show_default=False
    ),
]
Outbox = Annotated[
    Path,
    typer.Argument(parser=a_place, metavar="OUTBOX/PARTNER", help="The partner's folder of deliveries.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object on stdout.")]
Runner = Annotated[str, typer.Option(help="The engine that runs the pipelines: embedded, prism, flink or spark.")]


def say(text: str) -> None:
    """A line of progress, for people, on stderr; a number that somebody gave in the wrong place could be a person's and is not repeated."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""  # a line of progress may stand there
    print(over + masked(text), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """What a command came to, for people, on stdout; a number that could be a person's is not repeated."""
    print(masked(text))


def complain(text: str) -> None:
    """An error, for people, on stderr."""
    say(f"lefi: {text}")


def a_date(text: str) -> date:
    """A date of the command line, YYYY-MM-DD."""
    from storage.inbox import iso_date

    found = iso_date(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a date written YYYY-MM-DD")
    return found


def a_size(text: str) -> int:
    """A size of the command line, in bytes."""
    from schemas.sizes import size_of

    try:
        return size_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Memory = Annotated[
    int | None,
    typer.Option(
        parser=a_size,
        metavar="SIZE",
        help="Keep within so much memory, such as 1GiB, by taking smaller bites; else that of conf/machine.yaml.",
        show_default=False,
    ),
]


def workspace_at(root: Path) -> "Workspace":
    """The workspace in a folder."""
    from storage.workspace import Workspace

    return Workspace(root)


def plain(value: Any) -> str:
    """How a value that JSON does not know is written: dates and times as ISO 8601 has them."""
    return value.isoformat() if isinstance(value, date) else str(value)


def finish(summary: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None]) -> None:
    """End a command with its summary, for programs or for people."""
    if as_json:
        print(json.dumps(summary, ensure_ascii=False, default=plain))
    else:
        show(summary)


@app.command(epilog="Example: lefi init ws --buckets 64")
def init(
    workspace: WorkspaceArgument,
    buckets: Annotated[int | None, typer.Option(help="Number of person buckets, a power of two; 64 if not said.")] = None,
    as_json: Json = False,
) -> None:
    """Make a workspace."""
    from storage.workspace import init as make

    made = make(workspace, buckets)
    finish(
        {"workspace": str(made.root), "buckets": made.catalog().buckets},
        as_json,
        lambda _: tell(
            f"{made.root} is ready. Next: write {made.root}/conf/partners.yaml, or `lefi generate {made.root} --persons 1000 --nights 3 --seed 1`."
        ),
    )


@app.command(epilog="Example: lefi nightly ws --business-date 2026-01-05")
def nightly(
    workspace: WorkspaceArgument,
    business_date: Annotated[date, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="The night to run.")],
    runner: Runner = "embedded",
    signing_key: Annotated[
        str | None, typer.Option(envvar="LEFI_SIGNING_KEY", metavar="FILE", help="Sign the deliveries with this key; see `lefi key`.")
    ] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Sign no more, though the last deliveries were signed.")] = False,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Run a night: take what has come in, deliver to each partner what it does not know yet."""
    from jobs.nightly import nightly as run
    from jobs.nightly import show

    finish(run(workspace, business_date, runner, say, signing_key, unsigned, memory), as_json, lambda s: show(s, workspace))


@app.command(epilog="Example: lefi status ws; lefi status ws --html notices")
def status(
    workspace: WorkspaceArgument,
    html: Annotated[
        Path | None,
        typer.Option(
            parser=a_folder,
            metavar="FOLDER",
            help="Write the public notices there: pages in Swedish and English, and feeds.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how things are: the last night, what is withheld, what to do next."""
    from jobs.status import show, status_of

    summary = status_of(workspace)
    if html is not None:
        from jobs.notices import write_notices

        write_notices(workspace, html)
        say(f"the notices are in {html}: open {html / 'index.html'}")
    finish(summary, as_json, show)


@app.command(epilog="Example: lefi generate ws --persons 1000 --nights 3 --seed 1 --start 2026-01-05")
def generate(
    workspace: WorkspaceArgument,
    persons: Annotated[int, typer.Option(min=1, help="How many persons.")],
    nights: Annotated[int, typer.Option(min=1, help="How many business dates.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")],
    start: Annotated[date | None, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="The first business date.")] = None,
    scenario: Annotated[str | None, typer.Option(help="Lay weight on one way to fail, such as S02.")] = None,
    as_json: Json = False,
) -> None:
    """Write a synthetic population as drops: persons, facts and orders."""
    from jobs.generate import generate as make
    from jobs.generate import show, stems
    from jobs.progress import counted

    with counted("drops", nights * len(stems())) as step:
        made = make(workspace, persons, nights, seed, start, scenario, step)
    finish(made, as_json, lambda s: show(s, workspace))


@app.command(epilog="Example: lefi refresh ws --partner LIVBOLAGET-TEST --benefit FK:SJP")
def refresh(
    workspace: WorkspaceArgument,
    partner: Annotated[str, typer.Option(help="Whose picture is to be sent again.")],
    benefit: Annotated[str | None, typer.Option(help="This benefit only.")] = None,
    person: Annotated[str | None, typer.Option(help="This person only; - reads the personnummer from stdin.")] = None,
    born_from: Annotated[date | None, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="Born on this date or later.")] = None,
    born_to: Annotated[date | None, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="Born on this date or earlier.")] = None,
    as_json: Json = False,
) -> None:
    """Queue a refresh of a partner's subscriptions; it is delivered in throttled slices from the next night on."""
    from pipelines.decisions import refresh as queue

    number = sys.stdin.readline().strip() if person == "-" else person
    finish(
        queue(workspace_at(workspace), partner, benefit, number, born_from, born_to),
        as_json,
        lambda s: print(f"{s['order_id']}: {s['persons']} persons are queued; `lefi status` shows how far it is"),
    )


@app.command(epilog='Example: lefi retract ws --source-run FK:SJP/2026-01-05 --reason "wrong rate"')
def retract(
    workspace: WorkspaceArgument,
    source_run: Annotated[str, typer.Option(help="The source's run, as its facts name it.")],
    reason: Annotated[str, typer.Option(help="Stands on every annulment.")],
    as_json: Json = False,
) -> None:
    """Withdraw every fact of a source run, from the next night on."""
    from pipelines.decisions import retract as withdraw

    def show(summary: Mapping[str, Any]) -> None:
        if summary["records"]:
            tell(f"{summary['records']} records of {summary['source_run']} count as never received from the next night on")
        else:
            tell(f"nothing was ever received of {summary['source_run']}: nothing to do; what comes of it later is new (R44)")
        if summary["source_run"].startswith("recalculation-"):
            tell(f"nights to come of a recalculation go on: `lefi recalculate --cancel {summary['source_run']}` stops them")

    finish(withdraw(workspace_at(workspace), source_run, reason), as_json, show)


@app.command(epilog='Example: lefi accept ws fk-sjp-2026-01-06 --reason "a new year begins"')
def accept(
    workspace: WorkspaceArgument,
    drop: Annotated[str, typer.Argument(metavar="DROP", help="The folder's name in the inbox.")],
    reason: Annotated[str, typer.Option(help="Why it is right as it is.")],
    as_json: Json = False,
) -> None:
    """Let a drop through the gates (QUARANTINE_RATE, VOLUME), as it lies there now."""
    from pipelines.decisions import accept as let_through

    finish(
        let_through(workspace_at(workspace), drop, reason),
        as_json,
        lambda s: tell(f"{s['drop']} is accepted: the two gates let it through, as it lies there now"),
    )


@app.command(epilog='Example: lefi release ws Q1-2-15 --reason "the source will not correct it"')
def release(
    workspace: WorkspaceArgument,
    quarantine_id: Annotated[str, typer.Argument(metavar="QUARANTINE_ID", help="As `lefi status` shows it.")],
    reason: Annotated[str, typer.Option(help="Why it may be passed over.")],
    as_json: Json = False,
) -> None:
    """Say that a rejected record freezes nobody any more."""
    from pipelines.decisions import release as let_go

    finish(
        let_go(workspace_at(workspace), quarantine_id, reason), as_json, lambda s: tell(f"{s['id']} is released, from the next night on")
    )


@app.command(epilog="Example: lefi reconcile ws --heal")
def reconcile(
    workspace: WorkspaceArgument,
    partner: Annotated[str | None, typer.Option(help="This partner only.")] = None,
    heal: Annotated[bool, typer.Option("--heal", help="Have the next night deliver what is missing or wrong.")] = False,
    runner: Runner = "embedded",
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Compare everybody: what is visible with what was told, and that with the delivered files."""
    from jobs.reconcile import reconcile as compare
    from jobs.reconcile import show

    finish(compare(workspace, partner, heal, runner, say, memory), as_json, show)


@app.command(
    epilog='Example: lefi recalculate ws --rule guarantee --effective 2018-07-01 --reason "New amounts" --first-night 2018-06-11 --nights 3 --plan'
)
def recalculate(
    workspace: WorkspaceArgument,
    rule: Annotated[str | None, typer.Option(help="The rule that changes: guarantee.")] = None,
    effective: Annotated[
        date | None, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="The date from which new decisions hold.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Stands on every new decision.")] = None,
    first_night: Annotated[date | None, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="The night of the first slice.")] = None,
    nights: Annotated[int | None, typer.Option(help="Over how many nights.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what would happen.")] = False,
    page: Annotated[Path | None, typer.Option(help="With --plan: write a page with pictures to this file.")] = None,
    cancel: Annotated[
        str | None, typer.Option(metavar="SOURCE_RUN", help="Stop the nights of a recalculation that are still to come.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decide anew for everybody whom a rule change touches, over some nights."""
    from jobs.recalculate import recalculate as run
    from jobs.recalculate import show

    finish(run(workspace, rule, effective, reason, first_night, nights, plan, cancel, page), as_json, show)


@app.command(epilog="Example: lefi explain ws --partner LIVBOLAGET-TEST --person - < number.txt")
def explain(
    workspace: WorkspaceArgument,
    partner: Annotated[str, typer.Option(help="The partner that asks.")],
    person: Annotated[str, typer.Option(help="The person; - reads the personnummer from stdin.")],
    benefit: Annotated[str | None, typer.Option(help="This benefit only.")] = None,
    as_json: Json = False,
) -> None:
    """Say why a partner was told what it was told about a person, or was not: facts, subscription, windows, records."""
    from jobs.explain import explain as look_up
    from jobs.explain import show

    number = sys.stdin.readline().strip() if person == "-" else person
    finish(look_up(workspace, partner, number, benefit), as_json, show)


@app.command(epilog="Example: lefi rehearse ws --business-date 2026-01-06")
def rehearse(
    workspace: WorkspaceArgument,
    business_date: Annotated[date, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="The night to rehearse.")],
    partner: Annotated[str | None, typer.Option(help="Report this partner only.")] = None,
    conf: Annotated[
        Path | None, typer.Option(help="A folder of conf files to try in place of the workspace's.", show_default=False)
    ] = None,
    runner: Runner = "embedded",
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Say what a night would deliver, and what this code and conf would change of what was told. Nothing changes."""
    from jobs.rehearse import rehearse as try_out
    from jobs.rehearse import show

    finish(try_out(workspace, business_date, partner, conf, runner, say, memory), as_json, show)


@app.command(epilog="Example: lefi rebuild ws")
def rebuild(workspace: WorkspaceArgument, as_json: Json = False) -> None:
    """Make ledger, queues and lost tables anew, after a restore: from runs, table files, outbox and inbox."""
    from jobs.rebuild import rebuild as make
    from jobs.rebuild import show

    finish(make(workspace, say), as_json, show)


@app.command(epilog="Example: lefi compact ws --all")
def compact(
    workspace: WorkspaceArgument,
    everything: Annotated[bool, typer.Option("--all", help="Join all files of every table, also where few are small.")] = False,
    as_json: Json = False,
) -> None:
    """Join the small files that the nights add to each table; each night does it by itself when there are enough."""
    from jobs.compact import show
    from pipelines.compact import compact as fold

    finish(fold(workspace_at(workspace), say, everything=everything), as_json, show)


@app.command(epilog="Example: lefi rebucket ws --to 128")
def rebucket(
    workspace: WorkspaceArgument,
    to: Annotated[int | None, typer.Option(help="The number wanted: twice the present one (the present one changes nothing).")] = None,
    as_json: Json = False,
) -> None:
    """Double the number of buckets, where they have grown too large for the memory. Deliveries go on with the same records."""
    from jobs.rebucket import rebucket as double
    from jobs.rebucket import show

    finish(double(workspace, to, say), as_json, show)


@app.command(epilog="Example: lefi erase ws --plan; lefi erase ws --person - < numbers.txt")
def erase(
    workspace: WorkspaceArgument,
    person: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Erase these persons: a file with a personnummer on each line; - reads them from stdin."),
    ] = None,
    end_subscriptions: Annotated[
        bool,
        typer.Option(
            "--end-subscriptions",
            help="With --person: end the subscriptions to them, without telling partners; else it is refused.",
        ),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what would be erased.")] = False,
    as_json: Json = False,
) -> None:
    """Erase what conf/retention.yaml keeps no longer, or all that is held of some persons; manifests stay."""
    from jobs.erase import erase as run
    from jobs.erase import show

    finish(run(workspace, person, end_subscriptions, plan, say), as_json, show)


@app.command(epilog="Example: lefi engines start flink; lefi engines stop flink")
def engines(
    action: Annotated[str, typer.Argument(metavar="start|stop|status", help="What is to be done.", show_default=False)],
    engine: Annotated[str, typer.Argument(metavar="flink|spark", help="The engine.", show_default=False)],
    conf: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Take engines.yaml from this folder, as a workspace's conf.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring up a whole Flink or Spark on this machine, with two workers; look at it; end it. `make engines` comes first."""
    from jobs.engines import engines as run
    from jobs.engines import show

    finish(run(action, engine, conf, say), as_json, show)


@app.command(epilog="Example: lefi receive ws/outbox/LIVBOLAGET-TEST picture.duckdb")
def receive(
    outbox: Outbox,
    state: Annotated[
        Path, typer.Argument(metavar="STATE", help="Where the partner keeps its picture (a DuckDB file).", show_default=False)
    ],
    keys: Annotated[
        Path | None,
        typer.Option(
            envvar="LEFI_KEYS", metavar="FILE", help="Take only what is signed with a key of this list; see `lefi key`.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Be the partner: verify new deliveries and fold them into a local picture."""
    from dataclasses import asdict

    from jobs.receive import receive as take

    def show(s: Mapping[str, Any]) -> None:
        tell(
            f"{s['partner']}: verified and folded up to sequence {s['sequence'] or 0}; new deliveries: {s['received']}, records: {s['records']:,}"
        )
        tell(f"the picture {state} has {s['facts']:,} facts in {s['groups']:,} groups, {s['incomplete']} of them incomplete")

    from jobs.progress import Tally, watched

    tally = Tally()
    with watched("receive", tally.far) as watch:
        taken = take(outbox, state, tally.add, keys, tally.expect)
        work = watch.work(tally.amount)
    finish(asdict(taken) | {"work": work}, as_json, show)


@app.command(epilog="Example: lefi export ws --partner LIVBOLAGET-TEST --to sent --recipient livbolaget.pub")
def export(
    workspace: WorkspaceArgument,
    partner: Annotated[str, typer.Option(help="Whose deliveries.")],
    to: Annotated[
        Path, typer.Option(parser=a_folder, metavar="FOLDER", help="Where the archives go; not into the outbox.", show_default=False)
    ],
    recipient: Annotated[
        list[str], typer.Option(metavar="KEY", help="The partner's age key (age1...), or a file with it; may stand more than once.")
    ],
    as_json: Json = False,
) -> None:
    """Encrypt a partner's deliveries for that partner alone (age), for a way that others can read."""
    from jobs.export import export as run
    from jobs.export import show_export

    finish(run(workspace, partner, to, recipient, say), as_json, show_export)


@app.command(epilog="Example: lefi unpack sent outbox/LIVBOLAGET-TEST --identity livbolaget.key")
def unpack(
    archives: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the archives are.", show_default=False)],
    outbox: Outbox,
    identity: Annotated[str, typer.Option(metavar="FILE", help="A file with the partner's age secret key.")],
    as_json: Json = False,
) -> None:
    """Be the partner: open encrypted deliveries, for `lefi receive`."""
    from jobs.export import show_unpack
    from jobs.export import unpack as run

    finish(run(archives, outbox, identity, say), as_json, show_unpack)


@app.command(epilog="Example: lefi schemas schemas")
def schemas(
    folder: Annotated[Path, typer.Argument(parser=a_folder, metavar="FOLDER", help="Where they are to be written.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write the contracts as files: Avro schemas, and JSON Schemas of manifest, key list and all that --json prints."""
    from jobs.schemas import publish, show

    finish(publish(folder), as_json, show)


@app.command(epilog="Example: lefi key /etc/lefi/signing.pem --publish keys.json --valid-from 2026-01-05")
def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the signing key is, or is to be made.", show_default=False)],
    publish: Annotated[
        Path | None, typer.Option(metavar="LIST", help="Put its public half into this list, which the partners get.", show_default=False)
    ] = None,
    valid_from: Annotated[
        date | None, typer.Option(parser=a_date, metavar="YYYY-MM-DD", help="With --publish: the first business date that it signs.")
    ] = None,
    overlap_days: Annotated[int, typer.Option(min=0, help="With --valid-from: so long the keys before it are valid still.")] = 7,
    as_json: Json = False,
) -> None:
    """Make a signing key, or show the public half of one that there is."""
    from jobs.key import key as run
    from jobs.key import show

    finish(run(file, publish, valid_from, overlap_days), as_json, show)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error that we foresee ends with its exit code and one line that says what to do.

    arguments: those of the process, unless given.
    """
    import logging

    logging.basicConfig()
    for handler in logging.getLogger().handlers:
        if (
            type(handler) is logging.StreamHandler
        ):  # to stderr; Beam, which may have made it, logs the text of every error, and a bug's may hold a person's data
            handler.setLevel(logging.CRITICAL)
    try:
        # A command gives nothing back; Typer gives the code of what ended it early.
        code = app(arguments, standalone_mode=False, prog_name="lefi")
    except DiskError as error:
        complain(f"{error}: {MEND}")
        sys.exit(error.exit_code)
    except BugError as error:
        show_trace(error)
        our_bug(str(error))
        sys.exit(error.exit_code)
    except LefiError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BaseException as error:
        if not is_failure(error):
            raise
        last_resort(error)
    if code == INTERRUPTED:
        complain(f"interrupted: {AGAIN}")
    if code:
        sys.exit(code)


def last_resort(error: BaseException) -> NoReturn:
    """End for what is no error of ours: the disk's, wrong usage, a bug. A bug's text may hold a person's data, so only its place is told."""
    reason, usage = storage_reason(error), getattr(error, "format_message", None)
    if reason is not None:
        complain(f"{reason}: {MEND}")
        sys.exit(DiskError.exit_code)
    if usage is not None:
        of = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            say(usage())
        else:
            complain(f"{usage()} (see `{of.command_path if of else 'lefi'} --help`)")
        sys.exit(UsageError.exit_code)
    show_trace(error)
    our_bug(f"{type(error).__name__} {place_of(error)}")
    sys.exit(1)


def our_bug(what: str) -> None:
    """Say that something went wrong which we did not foresee, and where."""
    say(f"lefi: this is a bug of ours: {what}. Nothing was published unless the run was committed.")


def show_trace(error: BaseException) -> None:
    """Print an error whole, for developers who ask for it on invented data."""
    import os
    import traceback

    if os.environ.get("LEFI_DEBUG"):
        traceback.print_exception(error)


if __name__ == "__main__":
    main()
