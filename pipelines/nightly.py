"""The night, from drops to deliveries. The elements are files, bites of buckets and partners: only descriptions of what lies in staging travel."""

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from pipelines.deliver import decide, deliver_bite, put_together
from pipelines.failures import guarded
from pipelines.ingest import choose, cut_file, examine, link, rows_of, tasks
from pipelines.plan import Plan
from pipelines.side_by_side import batched, side_by_side
from pipelines.staged import write_staged
from pipelines.take import bites, take_bite


def night(pipeline: beam.Pipeline, plan: Plan) -> beam.PCollection[str]:
    """Stage a night: drops are linked, cut, judged and consumed; what each partner does not know yet is written as its delivery."""
    once = pipeline | "Once" >> beam.Create([None])

    examined = pipeline | "PersonFiles" >> beam.Create(list(tasks(plan, "persons"))) | "Examine" >> beam.Map(guarded(examine), plan)
    linked = AsSingleton(once | "LinkPersons" >> beam.Map(guarded(link), AsList(examined), plan))

    pieces = (
        pipeline
        | "Files" >> beam.Create(list(tasks(plan)))
        | "Spread" >> beam.Reshuffle()
        | "FilesAtOnce" >> batched()
        | "Cut" >> beam.FlatMap(guarded(side_by_side(cut_file, rows_of)), linked, plan)
        | "Pieces" >> beam.FlatMap(list)
    )
    choice = AsSingleton(once | "ChooseDrops" >> beam.Map(guarded(choose), AsList(pieces), linked, plan))

    taken = (
        once
        | "Bites" >> beam.FlatMap(lambda _, c: bites(c, plan), choice)
        | "SpreadBites" >> beam.Reshuffle()
        | "BitesAtOnce" >> batched()
        | "Take" >> beam.FlatMap(guarded(side_by_side(take_bite)), choice, plan)
    )
    verdict = AsSingleton(once | "Decide" >> beam.Map(guarded(decide), AsList(taken), choice, plan))

    delivered = (
        taken
        | "Bite" >> beam.Map(lambda intake: intake.bite)
        | "TakenAtOnce" >> batched()
        | "Deliver" >> beam.FlatMap(guarded(side_by_side(deliver_bite)), verdict, plan)
    )
    deliveries = (
        pipeline
        | "Partners" >> beam.Create(list(plan.conf.partners))
        | "SpreadPartners" >> beam.Reshuffle()
        | "PartnersAtOnce" >> batched()
        | "PutTogether" >> beam.FlatMap(guarded(side_by_side(put_together)), AsList(delivered), verdict, plan)
    )
    staged: beam.PCollection[str] = once | "Stage" >> beam.Map(guarded(write_staged), AsList(delivered), AsList(deliveries), verdict, plan)
    return staged
