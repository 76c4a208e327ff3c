"""A staged night: everything that is to happen, in one document that the commit makes true (DESIGN 4, verify and commit)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from pipelines.decide import Verdict, rejected_by_drop
from pipelines.deliver import AUDIT, FACTS_HELD, UNITS_PAID, Delivered
from pipelines.ingest import WITH_THE_BITES
from pipelines.plan import Plan
from pipelines.put_together import Delivery
from pipelines.recalculation import computed_rows, progress
from pipelines.results import write_result
from pipelines.view import DAYS_IN, FACTS_IN
from schemas.config import REGISTER
from schemas.errors import VerificationError, masked
from schemas.frames import CHAINS, DROPS, REFRESHES, RUNS, TOTALS
from schemas.gates import GATES
from schemas.personnummer import without_numbers
from schemas.quarantine import quarantine_id
from storage import tables
from storage.inbox import Drop
from storage.place import place
from storage.tables import TableFile
from transforms.cut_chains import ChainState, Obstacle, usual_rows
from transforms.judge import NEW

STAGED_FILE = "staged.json"


def write_staged(_: object, delivered: Sequence[Delivered], deliveries: Sequence[Delivery], verdict: Verdict, plan: Plan) -> str:
    """Verify the control totals, stage the small tables, write the document. Returns its path."""
    if verdict.retry:
        document: dict[str, Any] = {"retry": {name: asdict(obstacle) for name, obstacle in verdict.retry.items()}}
    else:
        verify(delivered, deliveries, verdict, plan)
        document = describe(delivered, deliveries, verdict, plan)
    return write_result(document, plan, STAGED_FILE)


def verify(delivered: Sequence[Delivered], deliveries: Sequence[Delivery], verdict: Verdict, plan: Plan) -> None:
    """Control totals: nothing that went in is missing on the way out. VerificationError names what is."""
    check_buckets("take", [(i.bite.first, i.bite.last) for i in verdict.intakes], plan)
    check_buckets("deliver", [(d.bite.first, d.bite.last) for d in delivered], plan)
    for made in verdict.choice.cuts.values():
        for candidate in made.consumed:
            if plan.by_ordinal(candidate.ordinal).dataset != "facts":
                continue
            judged = sum(
                count for intake in verdict.intakes for (ordinal, _), count in intake.counted.items() if ordinal == candidate.ordinal
            )
            if judged != candidate.rows:
                raise VerificationError(f"control totals: drop '{candidate.name}' has {candidate.rows} rows, {judged} were judged")
    linked = verdict.choice.linked
    sound = sum(candidate.rows - linked.rejected.get(candidate.name, 0) for candidate in linked.persons.consumed)
    taken = sum(intake.files["persons"].rows for intake in verdict.intakes if "persons" in intake.files)
    if sound != taken:
        raise VerificationError(f"control totals: {sound} register records are sound, {taken} were taken (R11)")
    lines = sum(plan.by_ordinal(ordinal).rows for ordinal in verdict.orders)
    receipts = sum(delivery.receipts for delivery in deliveries)
    if lines != receipts:
        raise VerificationError(f"control totals: {lines} order lines came in, {receipts} receipts go out (R13)")
    stored = sum(
        count
        for intake in verdict.intakes
        for (ordinal, code), count in intake.counted.items()
        if code == NEW and ordinal not in verdict.excluded
    )
    decided = sum(computed_rows(marked(delivered), verdict.withheld, plan)["decisions"])
    kept = sum(d.files["facts"].rows for d in delivered if "facts" in d.files)
    if stored + decided != kept:
        raise VerificationError(f"control totals: {stored} facts are new and {decided} recalculated, {kept} are staged for the store")
    told = sum(delivery.records for delivery in deliveries)
    counted = sum(number for d in delivered for (_, _, measure), number in d.totals.items() if measure == "records")
    if told != counted:
        raise VerificationError(f"control totals: {counted} records were made, {told} are in the deliveries")
    missing = set(plan.conf.partners) - {delivery.partner for delivery in deliveries}
    if missing:
        raise VerificationError(
            f"control totals: no delivery for {', '.join(sorted(missing))} (section 6: every partner gets one every night)"
        )


def check_buckets(step: str, ranges: Sequence[tuple[int, int]], plan: Plan) -> None:
    """Every bucket went through a step exactly once."""
    seen = Counter(bucket for first, last in ranges for bucket in range(first, last + 1))
    lost = [bucket for bucket in range(plan.buckets) if seen[bucket] != 1]
    if lost:
        raise VerificationError(f"control totals: step '{step}' did not see each bucket once: {lost[:5]} of {plan.buckets}")


def describe(delivered: Sequence[Delivered], deliveries: Sequence[Delivery], verdict: Verdict, plan: Plan) -> dict[str, Any]:
    """What is to happen when the run commits, and what its report says. Paths are relative to the workspace."""
    staged: dict[str, list[TableFile]] = {
        name: list(files) for name, files in verdict.choice.linked.moved.items() if name not in WITH_THE_BITES
    }
    for each in sorted(delivered, key=lambda each: each.bite.first):
        for name, file in each.files.items():
            staged.setdefault(name, []).append(file)
    for name, file in verdict.refreshes.files.items():
        staged.setdefault(name, []).append(file)
    records = sum(delivery.records for delivery in deliveries)
    totals: Counter[tuple[int, str, str]] = Counter()
    for each in delivered:
        totals.update(each.totals)
    recalculated = computed_rows(marked(delivered), verdict.withheld, plan)
    small = {
        "drops": pl.DataFrame(consumed_rows(verdict, plan), schema=DROPS, orient="row"),
        "chains": pl.DataFrame(chain_rows(verdict, plan), schema=CHAINS, orient="row"),
        "runs": pl.DataFrame([(plan.night, plan.run, plan.business_date, records, plan.decisions.last)], schema=RUNS, orient="row"),
        "totals": pl.DataFrame([(plan.night, *key, number) for key, number in sorted(totals.items())], schema=TOTALS, orient="row"),
    }
    if recalculated.height:
        small["recalculations"] = recalculated
    for name, frame in small.items():
        staged[name] = [tables.stage(plan.staging / "tables" / f"{name}.parquet", frame)]
    root = place(plan.root)
    return {
        "run": plan.run,
        "night": plan.night,
        "business_date": str(plan.business_date),
        "deliveries": {
            d.partner: {
                "sequence": d.sequence,
                "digest": d.digest,
                "folder": str(place(d.folder).relative_to(root)),
                "records": d.records,
                "receipts": d.receipts,
                "totals": d.totals,
                "withheld": list(d.withheld),
                "bytes": d.size_bytes,
            }
            for d in sorted(deliveries, key=lambda d: d.partner)
        },
        "tables": {
            name: [file.to_json() | {"path": str(place(file.path).relative_to(root))} for file in files]
            for name, files in sorted(staged.items())
        },
        "rows": {name: frame.to_dicts() for name, frame in small.items() if name != "totals"},
        "conf": plan.conf.to_json(),
        "withheld": [
            {"benefit": chain, "code": reason.code, "text": masked(reason.text), "since": str(verdict.states[chain].since)}
            for chain, reason in verdict.withheld.items()
        ],
        "drops": drop_states(verdict, plan),
        "rejected": rejected(verdict, plan),
        "quarantine": [
            {"id": quarantine_id(arrival), "benefit": benefit, "code": code, "drop": drop}
            for each in sorted(delivered, key=lambda each: each.bite.first)
            for arrival, benefit, code, drop in each.quarantine
        ],
        "refreshes": refreshes(verdict, plan),
        "recalculations": progress(recalculated, verdict.withheld, plan),
        "commands": plan.decisions.last,
        "audit": audited(totals),
        "seconds": seconds(delivered),
        "peak_mib": peaks(delivered),
        "taken": [
            {"drop": d.name, "dataset": d.dataset, "benefit": d.benefit, "partner": d.partner, "rows": d.rows}
            for d in consumed(verdict, plan)
        ],
        "gates": gates(verdict, plan),
        "deviations": deviations(delivered),
        "paid": dict(sorted(paid(totals).items())),
        "totals": {
            measure: sum(number for (_, _, what), number in totals.items() if what == measure)
            for measure in (FACTS_IN, DAYS_IN, FACTS_HELD, "records", "units delivered")
        },
    }


def marked(delivered: Sequence[Delivered]) -> list[TableFile]:
    """What the recalculations of tonight looked at, as it was staged."""
    return [each.files["recalculated"] for each in delivered if "recalculated" in each.files]


def seconds(delivered: Sequence[Delivered]) -> dict[str, float]:
    """Seconds by step of compare-and-deliver; together they are the time in which some bite was at work, as bites are worked on side by side."""
    total: Counter[str] = Counter()
    for each in delivered:
        total.update(each.seconds)
    elapsed, end = 0.0, 0.0
    for began, ended in sorted((each.began, each.began + sum(each.seconds.values())) for each in delivered):
        elapsed += max(0.0, ended - max(began, end))
        end = max(end, ended)
    share = elapsed / (sum(total.values()) or 1.0)
    return {step: round(time * share, 3) for step, time in total.items()}


def consumed_rows(verdict: Verdict, plan: Plan) -> list[tuple[Any, ...]]:
    """The rows of frames.DROPS."""
    drops = zip(consumed_ordinals(verdict), consumed(verdict, plan), strict=True)
    return [(d.name, d.sha256, d.dataset, d.benefit, d.partner, d.business_date, d.rows, plan.night, ordinal) for ordinal, d in drops]


def consumed_ordinals(verdict: Verdict) -> list[int]:
    """The ordinals of the drops that tonight consumes, sorted."""
    return sorted([c.ordinal for made in verdict.cuts.values() for c in made.consumed] + list(verdict.orders))


def consumed(verdict: Verdict, plan: Plan) -> list[Drop]:
    """The drops that tonight consumes, in the order of their ordinals."""
    return [plan.by_ordinal(ordinal) for ordinal in consumed_ordinals(verdict)]


def gates(verdict: Verdict, plan: Plan) -> list[dict[str, Any]]:
    """What the two gates of R4 looked at in each drop of facts that was judged and that they pass or stop.

    rejected, codes: records, together and by code; usual: the median of the drops consumed before it, null while there are too few of them.
    """
    rejected = rejected_by_drop(verdict.intakes, plan)
    found = []
    for benefit in plan.conf.benefits:
        sizes = list(plan.states.get(benefit, ChainState()).sizes)
        passed = verdict.cuts[benefit].consumed
        stopped = [c for c in plan.of_chain(benefit) if c.name in verdict.obstacles and verdict.obstacles[c.name].code in GATES]
        for candidate in sorted({*passed, *stopped}, key=lambda c: (c.business_date, c.name)):
            state = "closed" if candidate in stopped else "accepted" if candidate.name in plan.accepted else "open"
            codes = verdict.obstacles[candidate.name].rejected if candidate in stopped else rejected.get(candidate.name, {})
            found.append(
                {
                    "drop": candidate.name,
                    "benefit": benefit,
                    "rows": candidate.rows,
                    "rejected": sum(codes.values()),
                    "codes": dict(sorted(codes.items())),
                    "usual": usual_rows(sizes),
                    "state": state,
                }
            )
            if candidate in passed:
                sizes.append(candidate.rows)
    return found


def audited(totals: Counter[tuple[int, str, str]]) -> dict[str, int]:
    """What the audit found, by benefit."""
    found: Counter[str] = Counter()
    for (_, benefit, what), number in sorted(totals.items()):
        if what == AUDIT:
            found[benefit] += number
    return dict(found)


def deviations(delivered: Sequence[Delivered]) -> dict[str, dict[str, int]]:
    """Records delivered with a deviation, by benefit and code."""
    total: Counter[tuple[str, str]] = Counter()
    for each in delivered:
        total.update(each.deviations)
    found: dict[str, dict[str, int]] = {}
    for (benefit, code), number in sorted(total.items()):
        found.setdefault(benefit, {})[code] = number
    return found


def paid(totals: Counter[tuple[int, str, str]]) -> Counter[str]:
    """Units of the payments delivered, by benefit; a payment that goes to two partners counts twice."""
    found: Counter[str] = Counter()
    for (_, benefit, what), number in totals.items():
        if what == UNITS_PAID:
            found[benefit] += number
    return found


def peaks(delivered: Sequence[Delivered]) -> dict[str, int]:
    """The most memory in MiB by the end of each step of compare-and-deliver, over all bites."""
    found: dict[str, int] = {}
    for each in delivered:
        for step, mib in each.peak_mib.items():
            found[step] = max(mib, found.get(step, 0))
    return found


def chain_rows(verdict: Verdict, plan: Plan) -> list[tuple[Any, ...]]:
    """The rows of frames.CHAINS."""
    none = Obstacle("", "")
    return [
        (
            chain,
            plan.night,
            state.last,
            state.since,
            verdict.withheld.get(chain, none).code or None,
            masked(verdict.withheld.get(chain, none).text) or None,
            list(state.sizes),
        )
        for chain, state in verdict.states.items()
    ]


def drop_states(verdict: Verdict, plan: Plan) -> list[dict[str, str]]:
    """What became of each drop that tonight looked at, and of what was left alone."""
    consumed = {c.ordinal for made in verdict.cuts.values() for c in made.consumed} | set(verdict.orders)
    faults = verdict.obstacles
    states = []
    for waiting in plan.waiting:
        drop = waiting.drop
        if waiting.ordinal in consumed:
            state, code, text = "consumed", "", ""
        elif drop.chain and (last := verdict.states[drop.chain].last) and drop.business_date <= last:
            own = faults.get(drop.name)
            state, code, text = "old", "", f"R2: {drop.chain} is consumed up to {last}, by another drop of its date"
            text += f"; of this one: {own.code}: {own.text}" if own else ""
        elif drop.name in faults:
            code, text = faults[drop.name].code, faults[drop.name].text
            state = "stopped" if code in GATES else "broken"
        else:
            reason = verdict.withheld.get(drop.chain or REGISTER)
            state, code, text = "waiting", reason.code if reason else "", reason.text if reason else ""
        states.append({"drop": drop.name, "state": state, "code": code, "text": masked(text)})
    return states + [asdict(note) | {"text": masked(note.text)} for note in plan.notes]


def refreshes(verdict: Verdict, plan: Plan) -> list[dict[str, Any]]:
    """The refreshes that wait on, in the order of the queue."""
    staged = verdict.refreshes.files.get("refreshes")
    rows = tables.newest(tables.read([*plan.files["refreshes"], *([staged] if staged else [])], REFRESHES), ["refresh"])
    columns = ("partner", "order_id", "line_no", "groups", "waiting", "slices")
    waiting = rows.filter(pl.col("waiting") > 0).sort("refresh").select(columns).to_dicts()
    return [each | {"order_id": without_numbers(each["order_id"])} for each in waiting]


def rejected(verdict: Verdict, plan: Plan) -> dict[str, dict[str, int]]:
    """Rejected records by drop and code."""
    counts = rejected_by_drop(verdict.intakes, plan, verdict.excluded)
    for candidate in verdict.cuts[REGISTER].consumed:
        if verdict.choice.linked.rejected.get(candidate.name):
            counts[candidate.name] = Counter({"INVALID_PERSONNUMMER": verdict.choice.linked.rejected[candidate.name]})
    return {name: dict(sorted(codes.items())) for name, codes in sorted(counts.items())}
