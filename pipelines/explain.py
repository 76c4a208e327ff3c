"""One person for one partner: the chain from facts through decisions, windows and visibility to each record told, and why something is not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

import polars as pl

from pipelines import reasons
from pipelines.bites import Bite, retractions
from pipelines.decisions import key_of
from pipelines.ingest import going_on
from pipelines.plan import Decisions, Plan, permission_frame, read_decisions, settled_plan
from pipelines.upgrade import require_recoded
from pipelines.view import Clock, nothing_staged, view
from schemas.arrival import DROP_BITS, ROW_BITS
from schemas.buckets import FIRST_RECORD_NO, bucket_of
from schemas.config import REGISTER
from schemas.contracts import DELIVERY_RECORD
from schemas.errors import RefusedError, UsageError
from schemas.explanation import Explanation, Fact, Group, Refresh, Rejected, Stretch, Term, Told, Version, Who, Window, Withheld
from schemas.frames import (
    CHAINS,
    DIFFERENCES,
    DROPS,
    FACTS,
    IDENTITIES,
    MEMBER_KEY,
    MEMBERS,
    PERSONS,
    QUARANTINE,
    REFRESHES,
    RUNS,
    SUBSCRIPTION_KEY,
    SUBSCRIPTION_ROWS,
    TOLD,
    TOUCHED,
)
from schemas.personnummer import is_valid
from schemas.quarantine import quarantine_id
from storage import outbox, tables
from storage.agreement import agreed
from storage.conf import read_conf
from storage.delivered import records_between
from storage.runs import commit_of, report_of, unfinished
from storage.workspace import Workspace
from transforms.attribute import attribute
from transforms.compensate import compensate
from transforms.freeze import freezing
from transforms.hold import hold
from transforms.name_persons import name_persons
from transforms.retract import retracted_rows, without_retracted

Row = Mapping[str, Any]


def explain(workspace: Workspace, partner: str, number: str, benefit: str | None) -> Explanation:
    """Explain a person to whoever asks on a partner's behalf. It only looks, at the state that the last night left.

    UsageError for a malformed number; RefusedError for an unknown partner, benefit or person, and before the first night.
    """
    if not is_valid(number):
        raise UsageError("--person: not a personnummer (R10): 12 digits, a real date, the right check digit")
    catalog = agreed(workspace)
    require_recoded(catalog)
    plan = settled_plan(workspace, catalog, read_conf(workspace.conf))
    if partner not in plan.conf.partners:
        raise RefusedError(f"--partner {partner}: not in conf/partners.yaml")
    if benefit is not None and benefit not in plan.conf.benefits:
        raise RefusedError(f"--benefit {benefit}: not in conf/benefits.yaml")
    if catalog.business_date is None:
        raise RefusedError("no night has been run yet: nothing has been consumed, and nothing told")
    look = Look(plan, read_decisions(workspace, plan.files, catalog.night, plan.business_date), partner, key_of(workspace, number))
    if look.is_unknown:
        raise RefusedError(
            "--person: nobody with this number is known: no register record or fact has come for it, and no order was accepted"
        )
    groups = tuple(look.group(each) for each in ([benefit] if benefit else look.benefits))
    return Explanation(partner, catalog.business_date, tuple(unfinished(workspace)), look.who, groups)


@dataclass(frozen=True)
class Look:
    """All that the workspace has about a person and a partner. given: the decisions, with those that no night has taken yet."""

    plan: Plan
    given: Decisions
    partner: str
    key: str

    def rows(self, name: str, schema: pl.Schema, keys: Iterable[str] | None = None) -> pl.DataFrame:
        """The rows of a table about the person; keys: under these keys."""
        found = [
            tables.read(self.plan.files[name], schema, (bucket, bucket), pl.Series([key]))
            for key in (keys or [self.key])
            for bucket in [self.bucket_of(key)]
        ]
        return in_calendar(pl.concat(found))

    def bucket_of(self, key: str) -> int:
        """The bucket of a key."""
        return int(pl.select(bucket_of(pl.lit(key), self.plan.buckets)).item())

    @cached_property
    def bite(self) -> Bite:
        """The person's bucket."""
        bucket = self.bucket_of(self.key)
        return Bite(bucket, bucket)

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of the person, the key among them."""
        aliases = tables.newest(tables.read(self.plan.files["identities"], IDENTITIES), ["number"])
        return tuple(sorted({self.key, *aliases.filter(pl.col("person") == self.key)["number"]}))

    @cached_property
    def who(self) -> Who:
        """Who the person is."""
        records = self.rows("persons", PERSONS).sort("recorded_at", "arrival")
        if records.is_empty():
            return Who(self.numbers, None, None, None, None, None)
        newest = records.row(-1, named=True)
        number = name_persons(records)["personnummer"][0]
        return Who(self.numbers, number, newest["birth_date"], newest["protected"], newest["country"], newest["deceased_on"])

    @cached_property
    def received(self) -> pl.DataFrame:
        """Every version received."""
        return self.rows("facts", FACTS).unique("arrival").sort("benefit", "fact_id", "version", "recorded_at", "arrival")

    @cached_property
    def held(self) -> pl.DataFrame:
        """The facts that hold, of benefits in the catalogue, with their unit."""
        counting = without_retracted(self.received, retractions(self.plan)).filter(pl.col("benefit").is_in(list(self.plan.units)))
        return hold(counting).with_columns(
            pl.col("benefit").replace_strict(self.plan.units, return_dtype=DELIVERY_RECORD.frame["unit"]).alias("unit")
        )

    @cached_property
    def contents(self) -> dict[tuple[str, str], Row]:
        """(benefit, fact_id) -> content of what is held and not withdrawn."""
        return {(row["benefit"], row["fact_id"]): row for row in compensate(self.held).iter_rows(named=True)}

    @cached_property
    def reigns(self) -> pl.DataFrame:
        """transforms.attribute.DECIDED."""
        return attribute(self.held)

    @cached_property
    def quarantined(self) -> pl.DataFrame:
        """Every record rejected."""
        return tables.newest(self.rows("quarantine", QUARANTINE), ["arrival"])

    @cached_property
    def terms(self) -> pl.DataFrame:
        """The partner's subscriptions after each night in which they changed, under whichever key: frames.SUBSCRIPTION_ROWS."""
        rows = self.rows("subscriptions", SUBSCRIPTION_ROWS, self.numbers).filter(pl.col("partner") == self.partner)
        return rows.sort("benefit", "night", "gone", descending=[False, False, True])

    @cached_property
    def standing(self) -> pl.DataFrame:
        """The partner's subscriptions as they stand."""
        return tables.newest(self.terms.filter(pl.col("person") == self.key), SUBSCRIPTION_KEY).filter(~pl.col("gone"))

    @cached_property
    def due(self) -> pl.DataFrame:
        """What the next night would tell if nothing more came in, each benefit being current."""
        active = going_on(self.standing, self.plan)
        if active.is_empty():
            return pl.DataFrame(schema=DELIVERY_RECORD.frame)
        return view(self.bite, self.plan, active.with_columns(in_slice=pl.lit(False)), nothing_staged, Clock()).compared.records

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """Every row of the ledger, oldest first, and `current`: it holds, as far as the ledger goes."""
        rows = self.rows("told", TOLD).filter(pl.col("partner") == self.partner).unique(["sequence", "record_no"]).sort("night")
        snapped = self.standing.select("benefit", "snapshot_night")
        newest = pl.col("night") == pl.col("night").max().over("benefit", "fact_id")
        valid = (pl.col("night") >= pl.col("snapshot_night")) & pl.col("digest").is_not_null()
        return rows.join(snapped, on="benefit", how="left", maintain_order="left").with_columns(
            (newest & valid).fill_null(False).alias("current")
        )

    @cached_property
    def nights(self) -> dict[int, tuple[date, str]]:
        """Night -> its date and run, with the one that is committed and not finished."""
        rows = tables.read(self.plan.files["runs"], RUNS)
        found = {night: (day, run) for night, day, run in rows.select("night", "business_date", "run").iter_rows()}
        for run in unfinished(self.plan.workspace):
            document = self.document_of(run)
            found[document["night"]] = (date.fromisoformat(document["business_date"]), run)
        return found

    def document_of(self, run: str) -> Row:
        """The report of a run, or its commit file as long as it is not finished."""
        read = commit_of if run in unfinished(self.plan.workspace) else report_of
        return read(self.plan.workspace, run)

    def date_of(self, night: int) -> date:
        """The business date of a night."""
        return self.nights[night][0]

    @cached_property
    def deliveries(self) -> dict[int, int]:
        """Sequence -> night, of the deliveries in which the person was told something: about a fact, or about a group as a whole."""
        known = {sequence: self.night_of(sequence, night) for sequence, night in self.ledger.select("sequence", "night").iter_rows()}
        whole = self.terms.filter((pl.col("snapshot_night") == pl.col("night")) | pl.col("deviation_number").is_not_null())
        for night in whole["night"].unique():
            delivered = self.document_of(self.nights[night][1])["deliveries"].get(self.partner)
            if delivered:
                known.setdefault(delivered["sequence"], night)
        return known

    def night_of(self, sequence: int, night: int) -> int:
        """The night of a delivery, by its manifest. night: that of the ledger, which a merge may have moved on; it is right when there is none."""
        folder = self.plan.workspace.outbox / self.partner / outbox.folder_name(sequence)
        if not (folder / outbox.MANIFEST).exists():
            return night
        day = outbox.manifest_of(folder).business_date
        return next((each for each, (date_of, _) in self.nights.items() if date_of == day), night)

    @cached_property
    def records(self) -> dict[tuple[int, int], Row]:
        """(sequence, record_no) -> the record as it lies in the outbox, and `file`."""
        catalog = self.plan.workspace.catalog()
        found: dict[tuple[int, int], Row] = {}
        for sequence in sorted(self.deliveries):
            folder = self.plan.workspace.outbox / self.partner / outbox.folder_name(sequence)
            buckets = {self.bucket_of(number) % catalog.buckets_of(self.deliveries[sequence]) for number in self.numbers}
            for bucket in sorted(buckets):
                rows = records_between(folder, bucket * FIRST_RECORD_NO, (bucket + 1) * FIRST_RECORD_NO - 1)
                own = rows.filter(pl.col("personnummer").is_in(list(self.numbers)))
                place = str(folder.relative_to(self.plan.workspace.root))
                found |= {(sequence, row["record_no"]): row | {"file": f"{place}/{row['file']}"} for row in own.iter_rows(named=True)}
        return found

    @cached_property
    def chains(self) -> dict[str, Withheld]:
        """What was withheld in the last night."""
        rows = tables.read(self.plan.files["chains"], CHAINS).filter(pl.col("night") == self.plan.night - 1, pl.col("code").is_not_null())
        return {chain: Withheld(*rest) for chain, *rest in rows.select("chain", "since", "code", "text").iter_rows()}

    @cached_property
    def drop_names(self) -> dict[int, str]:
        """Arrival of a drop's records, without their row -> its name."""
        rows = tables.read(self.plan.files["drops"], DROPS).select("night", "ordinal", "drop")
        return {night << DROP_BITS | ordinal: drop for night, ordinal, drop in rows.iter_rows()}

    @property
    def is_unknown(self) -> bool:
        """Whether nothing has come for the number."""
        return all(rows.is_empty() for rows in (self.rows("persons", PERSONS), self.received, self.quarantined, self.terms))

    @property
    def benefits(self) -> list[str]:
        """The benefits of the catalogue that there is something to say of."""
        seen = {*self.terms["benefit"], *self.received["benefit"], *self.quarantined["drop_benefit"]}
        return [benefit for benefit in self.plan.conf.benefits if benefit in seen]

    def group(self, benefit: str) -> Group:
        """Everything about one benefit."""
        terms = self.terms.filter(pl.col("benefit") == benefit)
        standing = next(self.standing.filter(pl.col("benefit") == benefit).iter_rows(named=True), None)
        rejected = self.rejected(benefit)
        refreshes = self.refreshes(benefit)
        withheld = self.chains.get(benefit)
        permitted = {purpose for name, purpose, of in permission_frame(self.plan.conf).iter_rows() if (name, of) == (self.partner, benefit)}
        history = self.history(terms)
        frozen = next((reasons.frozen_by(each) for each in rejected if each.state in reasons.FREEZING), None)
        why = (
            reasons.not_subscribed(benefit, history, permitted, self.chains.get(REGISTER))
            if standing is None
            else reasons.held_back(
                benefit, standing, permitted, withheld, rejected, refreshes, self.is_touched(benefit), self.is_healing(benefit)
            )
        )
        due = self.due.filter(pl.col("benefit") == benefit)
        whole = due.filter(pl.col("fact_id").is_null()).select("action", "trigger").unique(maintain_order=True)
        return Group(
            benefit,
            Term(self.date_of(standing["night"]), standing["purpose"], standing["from_date"], standing["end_date"], False)
            if standing
            else None,
            history,
            withheld,
            why,
            tuple(f"{action} ({trigger})" for action, trigger in whole.iter_rows()),
            rejected,
            refreshes,
            tuple(self.told(row, self.deliveries[row["sequence"]], False) for row in self.about_no_fact(benefit)),
            tuple(self.fact(benefit, fact_id, standing, frozen, why, due) for fact_id in self.fact_ids(benefit)),
        )

    def history(self, terms: pl.DataFrame) -> tuple[Term, ...]:
        """How the subscription was ordered, moved and ended."""
        changes: list[Term] = []
        for row in terms.iter_rows(named=True):
            term = Term(self.date_of(row["night"]), row["purpose"], row["from_date"], row["end_date"], row["gone"])
            if changes and changes[-1].business_date == term.business_date:
                changes[-1] = term
            elif not changes or same_terms(changes[-1]) != same_terms(term):
                changes.append(term)
        return tuple(changes)

    def rejected(self, benefit: str) -> tuple[Rejected, ...]:
        """The rejected records about a benefit, and what each still does."""
        own = self.quarantined.filter(pl.col("drop_benefit") == benefit)
        retracted = set(retracted_rows(own, retractions(self.plan))["arrival"])
        counting = own.filter(~pl.col("arrival").is_in(list(retracted | self.plan.decisions.released)))
        freezes = set(freezing(counting, self.held.select(list(FACTS)))["arrival"])

        def state(arrival: int) -> str:
            if arrival in retracted:
                return "retracted"
            if arrival in self.plan.decisions.released:
                return "released"
            if arrival in self.given.released_tonight:
                return "to be released"
            return "freezes" if arrival in freezes else "cured"

        return tuple(
            Rejected(quarantine_id(arrival), code, drop, self.date_of(night), fact_id, version, state(arrival))
            for arrival, code, drop, night, fact_id, version in own.sort("arrival")
            .select("arrival", "code", "drop", "night", "fact_id", "version")
            .iter_rows()
        )

    def refreshes(self, benefit: str) -> tuple[Refresh, ...]:
        """The refreshes that owe the group, those included that the next night will number."""
        here = (pl.col("partner") == self.partner) & (pl.col("benefit") == benefit)
        owing = tables.newest(self.rows("members", MEMBERS), MEMBER_KEY).filter(here, "waits").select("refresh")
        heads = tables.newest(tables.read(self.plan.files["refreshes"], REFRESHES), ["refresh"]).join(owing, on="refresh", how="semi")
        queued = [Refresh(*row) for row in heads.sort("refresh").select("order_id", "line_no", "slices", "waiting").iter_rows()]
        given = [
            Refresh(command.arguments["order_id"], 1, 0, command.rows.rows)
            for command in self.given.refreshes
            if command.rows and tables.read([command.rows], MEMBERS, self.bite.buckets).filter(here, pl.col("person") == self.key).height
        ]
        return (*queued, *given)

    def is_touched(self, benefit: str) -> bool:
        """Whether a change waits to be compared."""
        return benefit in set(self.rows("touched", TOUCHED)["benefit"])

    def is_healing(self, benefit: str) -> bool:
        """Whether `reconcile --heal` asked for the group and no night has taken that yet."""
        asked = tables.read(self.given.healing, DIFFERENCES, self.bite.buckets)
        here = (pl.col("partner") == self.partner) & (pl.col("person") == self.key) & (pl.col("benefit") == benefit)
        return not asked.filter(here).is_empty()

    def fact_ids(self, benefit: str) -> list[str]:
        """The facts received or told, in order."""
        rows = (self.received, self.ledger)
        return sorted({fact_id for frame in rows for fact_id in frame.filter(pl.col("benefit") == benefit)["fact_id"]})

    def fact(self, benefit: str, fact_id: str, standing: Row | None, frozen: str | None, why: tuple[str, ...], due: pl.DataFrame) -> Fact:
        """A fact from what was received to what was told."""
        here = (pl.col("benefit") == benefit) & (pl.col("fact_id") == fact_id)
        held: Row = next(self.held.filter(here).iter_rows(named=True), {})
        content = self.contents.get((benefit, fact_id), {})
        told = tuple(
            self.told(row, self.deliveries[row["sequence"]], row["current"]) for row in self.ledger.filter(here).iter_rows(named=True)
        )
        waits = next(due.filter(pl.col("fact_id") == fact_id).select("action", "trigger").iter_rows(), None)
        visible = bool(standing and content and (content["period_to"] is None or content["period_to"] >= standing["from_date"]))
        state, text = reasons.of_fact(held, standing, visible, told, frozen, waits, why)
        reigns = self.reigns.filter(pl.col("benefit") == benefit, pl.col("payment") == fact_id)
        return Fact(
            fact_id=fact_id,
            state=state,
            why=text,
            versions=self.versions(self.received.filter(here), held),
            kind=held.get("kind"),
            case_id=held.get("case_id"),
            refers_to=held.get("refers_to"),
            period_from=held.get("period_from"),
            period_to=held.get("period_to"),
            amount=held.get("amount"),
            decided=stretches(content, reigns) if content.get("kind") == "PAYMENT" else (),
            windows=windows(content, reigns),
            units=content.get("units"),
            deviation=content.get("deviation"),
            visible=visible,
            told=told,
        )

    def versions(self, received: pl.DataFrame, held: Row) -> tuple[Version, ...]:
        """Each version received and whether it counts (R20, R44)."""
        gone = set(retracted_rows(received, retractions(self.plan))["arrival"])
        going = {each.source_run for each in self.given.retractions if each.fresh}

        def state(row: Row) -> str:
            if row["arrival"] in gone:
                return "retracted"
            if row["source_run"] in going:
                return "to be retracted"
            return "held" if held.get("arrival") == row["arrival"] else "superseded"

        return tuple(
            Version(
                row["version"],
                state(row),
                row["withdrawn"],
                self.drop_names.get(row["arrival"] >> ROW_BITS),
                self.date_of(row["arrival"] >> (ROW_BITS + DROP_BITS)),
                row["source_run"],
                row["recorded_at"],
            )
            for row in received.iter_rows(named=True)
        )

    def about_no_fact(self, benefit: str) -> list[Row]:
        """The delivered records about the group as a whole, oldest first."""
        return [
            {**row, "sequence": sequence}
            for (sequence, _), row in sorted(self.records.items())
            if row["benefit"] == benefit and row["fact_id"] is None
        ]

    def told(self, row: Row, night: int, holds: bool) -> Told:
        """A record told, by its row in the ledger or in the delivery."""
        record = self.records.get((row["sequence"], row["record_no"]), {})
        deviation = record.get("deviation")
        return Told(
            business_date=self.date_of(night),
            sequence=row["sequence"],
            record_no=row["record_no"],
            file=record.get("file"),
            action=record.get("action"),
            trigger=record.get("trigger"),
            version=row["version"],
            reason=record.get("reason"),
            deviation=deviation["code"] if deviation else None,
            holds=holds,
        )


def in_calendar(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose days and times lie in the years that Python knows: those before and after stand as the first and the last of all."""
    days = [pl.col(name).clip(date.min, date.max) for name, dtype in rows.schema.items() if dtype == pl.Date]
    ends = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    times = [
        pl.col(name).clip(*(pl.lit(end, dtype) for end in ends)) for name, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime)
    ]
    return rows.with_columns(*days, *times)


def same_terms(term: Term) -> tuple[Any, ...]:
    """What makes two rows of a subscription's history alike."""
    return term.purpose, term.from_date, term.end_date, term.gone


def windows(content: Row, reigns: pl.DataFrame) -> tuple[Window, ...]:
    """The windows of a fact, each with the decisions whose days lie in it."""
    spans = reigns.select("first", "last", "decision").rows()
    return tuple(
        Window(
            **window, decisions=tuple(dict.fromkeys(d for first, last, d in spans if first <= window["last"] and window["first"] <= last))
        )
        for window in content.get("windows", ())
    )


def stretches(payment: Row, reigns: pl.DataFrame) -> tuple[Stretch, ...]:
    """A payment's period as stretches of one deciding decision, or of none."""
    decided = [Stretch(*row) for row in reigns.select("first", "last", "decision").iter_rows()]
    met = [end.toordinal() for each in decided for end in (each.first, each.last)]
    ends = [payment["period_from"].toordinal() - 1, *met, payment["period_to"].toordinal() + 1]  # a day before all days is no date
    holes = [
        Stretch(date.fromordinal(before + 1), date.fromordinal(after - 1), None)
        for before, after in list(pairwise(ends))[::2]
        if after - before > 1
    ]
    joined: list[Stretch] = []
    for each in sorted([*decided, *holes], key=lambda each: each.first):
        if joined and joined[-1].decision == each.decision:
            joined[-1] = Stretch(joined[-1].first, each.last, each.decision)
        else:
            joined.append(each)
    return tuple(joined)
