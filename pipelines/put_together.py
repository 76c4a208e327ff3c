"""A partner's delivery, of the parts of all bites: files, receipts, what is withheld, and the manifest that names them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import polars as pl

from pipelines.decide import Verdict
from pipelines.deliver import Delivered
from pipelines.plan import Plan
from pipelines.side_by_side import Description
from schemas.config import REGISTER
from schemas.contracts import DELIVERY_RECORD, RECEIPT
from schemas.errors import masked
from schemas.manifest import Action, FileEntry, Input, Manifest, Previous, Withheld
from storage import avro, durable, outbox, tables
from storage.pace import Amount
from storage.place import place
from transforms.take_orders import RECEIPTS, settle_receipts

ADDRESSED = pl.Schema({"partner": RECEIPTS["partner"]})


@dataclass(frozen=True)
class Delivery(Description):
    """A partner's delivery, ready to be published. folder: below staging."""

    partner: str
    sequence: int
    digest: str
    folder: str
    records: int
    receipts: int
    totals: Mapping[str, Mapping[str, int]]
    withheld: tuple[str, ...]
    size_bytes: int

    @property
    def amount(self) -> Amount:
        """What is delivered."""
        return Amount(0, self.records + self.receipts, self.size_bytes)


def put_together(partner: str, delivered: Sequence[Delivered], verdict: Verdict, plan: Plan) -> Delivery:
    """Join a partner's parts to files and write its manifest, under staging."""
    folder = plan.staging / "outbox" / partner
    marker = outbox.marker(plan.run, partner)
    parts = [part for each in sorted(delivered, key=lambda each: each.bite.first) for part in each.parts if part.partner == partner]
    head = avro.header(DELIVERY_RECORD, marker)
    files = list(outbox.join(folder, head, [(place(part.path), part.buckets) for part in parts]))
    totals: dict[str, Counter[str]] = {}
    for part in parts:
        for (benefit, action), number in part.totals.items():
            totals.setdefault(benefit, Counter())[action] += number
    receipts = write_receipts(folder, partner, verdict, marker, plan)
    entries = [*files, receipts] if receipts else files
    counted = {benefit: dict(sorted(actions.items())) for benefit, actions in sorted(totals.items())}
    last = plan.deliveries.get(partner)
    withheld = withheld_for(partner, frozenset().union(*(each.watched for each in delivered)), verdict, plan)
    manifest = Manifest(
        partner=partner,
        sequence=plan.sequences[partner],
        previous=Previous(sequence=last.sequence, digest=last.digest) if last else None,
        business_date=plan.business_date,
        previous_business_date=last.date if last else None,
        run=plan.run,
        inputs=inputs_of(partner, verdict, plan),
        files=tuple(entries),
        totals=cast(dict[str, dict[Action, int]], counted),
        withheld=withheld,
        refreshes=verdict.refreshes.slices.get(partner, ()),
    )
    folder.mkdir(parents=True, exist_ok=True)
    durable.write_file(folder / outbox.MANIFEST, manifest.to_json())
    return Delivery(
        partner,
        manifest.sequence,
        manifest.digest(),
        str(folder),
        sum(file.rows for file in files),
        receipts.rows if receipts else 0,
        counted,
        tuple(each.benefit for each in withheld),
        sum(entry.bytes for entry in entries),
    )


def write_receipts(folder: Path, partner: str, verdict: Verdict, marker: bytes, plan: Plan) -> FileEntry | None:
    """receipts.avro, if the partner sent lines: by bucket, then in the order of the lines. Those of one bite at a time are in memory."""
    matched = pl.DataFrame({"position": sorted(verdict.refreshes.matched)}, schema={"position": pl.Int64()})
    staged = [intake.receipts for intake in sorted(verdict.intakes, key=lambda intake: intake.bite.first) if intake.receipts]
    rows = sum(tables.read([file], ADDRESSED, partner=partner).height for file in staged)
    if not rows:
        return None
    own = (tables.read([file], RECEIPTS, partner=partner) for file in staged)
    blocks = (receipt_blocks(frame, settle_receipts(frame, matched, plan.business_date), marker) for frame in own)
    return outbox.write(folder / "receipts.avro", avro.header(RECEIPT, marker), blocks, rows)


def receipt_blocks(in_order: pl.DataFrame, settled: pl.DataFrame, marker: bytes) -> bytes:
    """Receipts as Avro blocks, in the order in which they were staged, none crossing a bucket."""
    receipts = in_order.select("position").join(settled, on="position", maintain_order="left")
    counts = receipts.group_by("bucket", maintain_order=True).len()["len"]
    return avro.encode(receipts.select(list(RECEIPT.frame)), RECEIPT, marker, [n for rows in counts for n in avro.chunks(rows)])


def withheld_for(partner: str, watched: frozenset[tuple[str, str]], verdict: Verdict, plan: Plan) -> tuple[Withheld, ...]:
    """R4, R5: the withheld benefits of the partner's active subscriptions, and PERSONS. watched: (partner, benefit) of these, of all partners."""
    subscribed = {benefit for name, benefit in watched if name == partner}
    named = [chain for chain in plan.conf.chains if chain in verdict.withheld and (chain in subscribed or chain == REGISTER)]
    return tuple(
        Withheld(
            benefit=chain,
            code=verdict.withheld[chain].code,
            text=masked(verdict.withheld[chain].text),
            since=verdict.states[chain].since or plan.business_date,
        )
        for chain in named
    )


def inputs_of(partner: str, verdict: Verdict, plan: Plan) -> tuple[Input, ...]:
    """The drops consumed tonight for persons, for what the partner is permitted, and its own orders (contract, section 4)."""
    permitted = plan.conf.partners[partner].permitted | {REGISTER}
    drops = [plan.by_ordinal(c.ordinal) for chain, made in verdict.cuts.items() if chain in permitted for c in made.consumed]
    drops += [drop for drop in map(plan.by_ordinal, verdict.orders) if drop.partner == partner]
    return tuple(Input(drop=drop.name, sha256=drop.sha256) for drop in sorted(drops, key=lambda drop: drop.name))
