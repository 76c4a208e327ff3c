"""A run: plan, stage, verify, commit, publish, settle (DESIGN 4). Before the commit nothing happened; after it the run will complete."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import date
from typing import Any

from pages.night import NIGHTS_SHOWN, night_page
from pipelines import engines
from pipelines.ingest import tasks
from pipelines.nightly import night
from pipelines.plan import NOTHING, UNLIMITED, Plan, make_plan
from pipelines.results import read_result
from pipelines.room import Room
from pipelines.staged import STAGED_FILE
from pipelines.upgrade import upgrade
from pipelines.view import Clock
from schemas.config import Conf
from schemas.contracts import DELIVERY_RECORD, RECEIPT
from schemas.errors import LefiError, RefusedError, UsageError, VerificationError
from schemas.frames import TABLES
from schemas.manifest import Manifest
from storage import avro, durable, outbox, pace, tables
from storage.agreement import require_agreement, table_folder
from storage.conf import read_conf
from storage.failpoints import reach
from storage.lock import only_writer
from storage.place import is_remote
from storage.runs import COMMIT, REPORT, commit_of, report_of, settled, unfinished
from storage.seals import Signer
from storage.tables import TableFile
from storage.workspace import Catalog, LastDelivery, Workspace
from transforms.cut_chains import Obstacle

Say = Callable[[str], None]
REPLACED = frozenset({"touched"})  # tables of which a night's rows are the whole


def run_night(
    workspace: Workspace,
    business_date: date,
    runner: str,
    say: Say,
    signer_of: Callable[[], Signer | None] = lambda: None,
    unsigned: bool = False,
    room_of: Callable[[], Room] = lambda: UNLIMITED,
) -> Mapping[str, Any]:
    """Run the night of a date; returns its report. A committed run is completed first; the night of a date that is done is not run again.

    signer_of: what seals the manifests; unsigned: the last deliveries were sealed, and these are not to be; room_of: the memory there is. Both
    are asked, as conf is read, when there is a night to run: what is wrong with them keeps no committed run from its end. Raises UsageError for
    conf, or when there is no signer and the last deliveries were sealed, RefusedError for a date before the last night or while another command
    runs, VerificationError when the run's own totals do not add up.
    """
    engines.require_known(runner)
    with only_writer(workspace):
        catalog = workspace.catalog()
        require_agreement(workspace, catalog)
        for run in unfinished(workspace):
            say(f"completing the committed run {run}")
            complete(workspace, run, say)
            catalog = workspace.catalog()
            require_agreement(workspace, catalog)
        if catalog.business_date == business_date:
            say(f"the night of {business_date} is done already")
            durable.remove(workspace.staging / catalog.run)
            return report_of(workspace, catalog.run)
        if catalog.business_date and business_date < catalog.business_date:
            raise RefusedError(f"--business-date {business_date} is before the last night, {catalog.business_date}: nights only go forward")
        conf, engine = read_conf(workspace.conf), engines.engine_of(runner, workspace.conf)
        if not (workspace.inbox.exists() or is_remote(workspace.inbox)):
            raise RefusedError("inbox/ is not there: is what it lies on mounted? Without any drop every benefit would be withheld")
        signer, room = signer_of(), room_of()
        if not (signer or unsigned):
            require_unsigned(workspace, catalog, conf)
        catalog = upgrade(workspace, catalog, say)
        durable.remove(workspace.staging)
        drop_uncommitted(workspace)
        for lost in workspace.lost_deliveries(catalog):
            say(lost)
        reach("plan")
        staged = prepare(workspace, catalog, conf, business_date, engine, say, signer, room=room)
        commit(workspace, catalog, staged)
        say("commit")
        return complete(workspace, staged["run"], say)


def drop_uncommitted(workspace: Workspace) -> None:
    """Remove the empty folders that a killed command has left of runs that it did not commit."""
    for folder in workspace.runs.iterdir() if workspace.runs.exists() else ():
        if folder.is_dir() and not any(folder.iterdir()):
            durable.remove(folder)


def require_unsigned(workspace: Workspace, catalog: Catalog, conf: Conf) -> None:
    """Refuse a night without a key after one with: a partner that has a key list takes nothing unsigned. UsageError."""
    for partner, last in catalog.deliveries.items():
        folder = workspace.outbox / partner / outbox.folder_name(last.sequence)
        if partner in conf.partners and (folder / outbox.MANIFEST).exists() and outbox.manifest_of(folder).signature:
            raise UsageError(
                f"the last delivery to {partner} was signed, and there is no key: set LEFI_SIGNING_KEY or --signing-key; --unsigned if this is meant"
            )


def seal(workspace: Workspace, staged: Mapping[str, Any], signer: Signer) -> None:
    """Sign the staged manifests, here and not on a worker, so that the key leaves this process nowhere."""
    for delivery in staged["deliveries"].values():
        path = workspace.root / delivery["folder"] / outbox.MANIFEST
        durable.write_file(path, signer.sealed(Manifest.from_json(path.read_bytes())).to_json())


def prepare(
    workspace: Workspace,
    catalog: Catalog,
    conf: Conf,
    business_date: date,
    engine: engines.Engine,
    say: Say,
    signer: Signer | None = None,
    instead: Mapping[str, tuple[TableFile, ...]] = NOTHING,
    room: Room = UNLIMITED,
) -> dict[str, Any]:
    """Plan, stage, seal and verify a night; a drop on which a gate closes gives way to its sibling in another attempt. instead: see `make_plan`."""
    overruled: dict[str, Obstacle] = {}
    clock = Clock()
    while True:
        plan = make_plan(workspace, catalog, conf, business_date, overruled, instead, room)
        say(f"plan: night {plan.night}, run {plan.run}, {len(plan.waiting)} drops")
        clock.lap("plan")
        staged = stage(plan, engine)
        amount = pace.total(plan.staging)
        clock.lap("stage")
        if "retry" not in staged:
            break
        overruled |= {name: Obstacle(**obstacle) for name, obstacle in staged["retry"].items()}
    if signer:
        seal(workspace, staged, signer)
    say("verify")
    verify(workspace, staged)
    clock.lap("verify")
    steps = {step: {"seconds": round(seconds, 3), "peak_mib": clock.peak_mib[step]} for step, seconds in clock.seconds.items()}
    return staged | {"steps": steps, "amount": asdict(amount)}


def stage(plan: Plan, engine: engines.Engine) -> dict[str, Any]:
    """Run the pipelines; everything is written under staging."""
    durable.remove(plan.staging)
    rows = sum(task.file.rows for task in tasks(plan))
    pace.expect(plan.staging, {"cut_file": rows, "take_bite": plan.buckets, "deliver_bite": plan.buckets})
    attempt = engines.run(lambda pipeline, attempt: night(pipeline, attempt, engine.at_once), plan, engine)
    reach("stage")
    return dict(read_result(attempt, STAGED_FILE))


def verify(workspace: Workspace, staged: Mapping[str, Any]) -> None:
    """Read back what was staged for the outbox: digests, sizes and rows as the manifests say."""
    for partner, delivery in staged["deliveries"].items():
        folder = workspace.root / delivery["folder"]
        manifest = Manifest.from_json((folder / outbox.MANIFEST).read_bytes())
        if manifest.digest() != delivery["digest"]:
            raise VerificationError(f"verify: {partner}: manifest.json has another digest than was staged")
        for entry in manifest.files:
            contract = RECEIPT if entry.name == "receipts.avro" else DELIVERY_RECORD
            rows = avro.inspect(folder / entry.name, contract).rows
            if rows != entry.rows:
                raise VerificationError(f"verify: {partner}: {entry.name} has {rows} rows, its manifest says {entry.rows}")
            with (folder / entry.name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                    raise VerificationError(f"verify: {partner}: {entry.name} has another digest than its manifest says")
    reach("verify")


def commit(workspace: Workspace, catalog: Catalog, staged: Mapping[str, Any]) -> None:
    """Put the one file that makes the run happen."""
    deliveries = dict(catalog.deliveries) | {
        partner: LastDelivery(delivery["sequence"], delivery["digest"], staged["business_date"])
        for partner, delivery in staged["deliveries"].items()
    }
    after = replace(
        catalog,
        night=staged["night"],
        run=staged["run"],
        business_date=date.fromisoformat(staged["business_date"]),
        deliveries=deliveries,
        commands=staged["rows"]["runs"][0]["commands"],
        tables=dict(catalog.tables) | dict.fromkeys({*staged["tables"], *REPLACED}, staged["night"]),
    )
    document = dict(staged) | {"catalog": after.to_json()}
    durable.sync_tree(workspace.staging)
    durable.sync_folder(workspace.root)
    reach("commit.before")
    path = workspace.runs / staged["run"] / COMMIT
    if not durable.put_if_absent(path, durable.to_json(document), workspace.staging / staged["run"]):
        raise LefiError(f"runs/{staged['run']}/{COMMIT} is there already: another command has committed the same run")
    reach("commit.after")


def complete(workspace: Workspace, run: str, say: Say) -> Mapping[str, Any]:
    """Publish and settle a committed run; every step finds what an earlier attempt did. Returns the report."""
    document = commit_of(workspace, run)
    try:
        publish(workspace, document)
        say(f"published {len(document['deliveries'])} deliveries")
        settle(workspace, document)
    except FileNotFoundError as error:
        raise LefiError(
            f"run {run} is committed, and something that it has still to publish or to settle is not there any more ({error.filename}): "
            "restore the whole workspace from a backup; a delivery that was in the outbox can be brought back there"
        ) from error
    catalog = workspace.catalog()
    if catalog.night < document["night"]:
        workspace.write_catalog(catalog.followed_by(Catalog.from_json(document["catalog"])))
    reach("settle.catalog")
    report = report_from(document)
    page = night_page(report, earlier_reports(workspace, run), document["conf"])
    durable.write_file(workspace.runs / run / "report.html", page.encode())
    durable.write_file(workspace.runs / run / REPORT, durable.to_json(report))
    reach("settle.report")
    durable.remove(workspace.staging / run)
    say("settled")
    return report


def publish(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """Move the deliveries of a committed run into the outbox."""
    for partner, delivery in document["deliveries"].items():
        reach("publish")
        durable.move(workspace.root / delivery["folder"], workspace.outbox / partner / outbox.folder_name(delivery["sequence"]))


def settle(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """Move the table files of a committed run in, and commit them."""
    for name, schema in TABLES.items():
        files = [TableFile(**file | {"path": str(workspace.root / file["path"])}) for file in document["tables"].get(name, ())]
        if files or name in REPLACED:
            reach(f"settle.{name}.before")
            tables.append(table_folder(workspace, name), files, schema, document["night"], replace=name in REPLACED)
            reach(f"settle.{name}.after")


def report_from(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the report of a run says: the commit without what was only needed to carry it out."""
    kept = (
        "run",
        "night",
        "business_date",
        "deliveries",
        "withheld",
        "drops",
        "rejected",
        "quarantine",
        "refreshes",
        "recalculations",
        "commands",
        "audit",
        "seconds",
        "peak_mib",
        "steps",
        "amount",
        "taken",
        "gates",
        "deviations",
        "paid",
        "totals",
    )
    report = {name: document[name] for name in kept if name in document}
    report["deliveries"] = {
        partner: {name: value for name, value in delivery.items() if name != "folder"}
        for partner, delivery in document["deliveries"].items()
    }
    return report


def earlier_reports(workspace: Workspace, run: str) -> list[dict[str, Any]]:
    """The reports of the nights just before a run, oldest first, for the pictures of its page; without a damaged one, as the night is published."""
    found = []
    for name in [name for name in settled(workspace) if name[:10] < run[:10]][-NIGHTS_SHOWN:]:
        with suppress(LefiError):
            found.append(report_of(workspace, name))
    return found
