"""The night, from drops to deliveries. The elements are batches of files, bites of buckets and partners: only descriptions of what lies in staging travel."""

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from pipelines.bites import bites
from pipelines.decide import decide
from pipelines.deliver import deliver_bite
from pipelines.failures import guarded
from pipelines.ingest import choose, cut_file, examine, link, rows_of, tasks
from pipelines.merge_pieces import groups, merge_pieces, rows_of_group, with_merged
from pipelines.plan import Plan
from pipelines.put_together import put_together
from pipelines.side_by_side import in_batches, side_by_side
from pipelines.staged import write_staged
from pipelines.take import take_bite


def night(pipeline: beam.Pipeline, plan: Plan, at_once: int) -> beam.PCollection[str]:
    """Stage a night: drops are linked, cut, judged and consumed; what each partner does not know yet is written as its delivery.

    at_once: how many files, bites or partners make a batch.
    """
    once = pipeline | "Once" >> beam.Create([None], reshuffle=False)

    examined = (
        pipeline
        | "PersonFiles" >> beam.Create(in_batches(tasks(plan, "persons"), at_once))
        | "Examine" >> beam.FlatMap(guarded(side_by_side(examine, rows_of)), plan)
    )
    linked = AsSingleton(once | "LinkPersons" >> beam.Map(guarded(link), AsList(examined), plan))

    pieces = (
        pipeline
        | "Files" >> beam.Create(in_batches(tasks(plan), at_once))
        | "Cut" >> beam.FlatMap(guarded(side_by_side(cut_file, rows_of)), linked, plan)
        | "Pieces" >> beam.FlatMap(list)
    )
    chosen = once | "ChooseDrops" >> beam.Map(guarded(choose), AsList(pieces), linked, plan)
    merged = (
        chosen
        | "Groups" >> beam.FlatMap(lambda c: in_batches(groups(c), at_once))
        | "SpreadGroups" >> beam.Reshuffle()
        | "MergePieces" >> beam.FlatMap(guarded(side_by_side(merge_pieces, rows_of_group)), plan)
    )
    choice = AsSingleton(chosen | "Chosen" >> beam.Map(with_merged, AsList(merged)))

    taken = (
        once
        | "Bites" >> beam.FlatMap(lambda _, c: in_batches(bites(c, plan), at_once), choice)
        | "Spread" >> beam.Reshuffle()
        | "Take" >> beam.Map(guarded(side_by_side(take_bite)), choice, plan)
    )
    verdict = AsSingleton(once | "Decide" >> beam.Map(guarded(decide), AsList(taken | "Intakes" >> beam.FlatMap(list)), choice, plan))

    delivered = (
        taken
        | "BitesTaken" >> beam.Map(lambda intakes: [intake.bite for intake in intakes])
        | "Deliver" >> beam.FlatMap(guarded(side_by_side(deliver_bite)), verdict, plan)
    )
    deliveries = (
        pipeline
        | "Partners" >> beam.Create(in_batches(plan.conf.partners, at_once))
        | "PutTogether" >> beam.FlatMap(guarded(side_by_side(put_together)), AsList(delivered), verdict, plan)
    )
    staged: beam.PCollection[str] = once | "Stage" >> beam.Map(guarded(write_staged), AsList(delivered), AsList(deliveries), verdict, plan)
    return staged
