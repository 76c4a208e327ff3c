"""`lefi engines`: an engine on this machine, brought up, looked at, ended."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from jobs import local_engine, local_flink, local_spark
from jobs.local_engine import Part, Place, Say, answers
from schemas.config import Cluster
from schemas.errors import UsageError
from storage.conf import read_engines

PARTS: Mapping[str, Callable[[Place, Cluster], list[Part]]] = {"flink": local_flink.parts, "spark": local_spark.parts}
ACTIONS = ("start", "stop", "status")


def engines(action: str, engine: str, conf: Path | None, say: Say) -> dict[str, Any]:
    """Start, stop or look at an engine. conf: a folder whose engines.yaml holds in place of the packaged one. UsageError for other words."""
    if action not in ACTIONS:
        raise UsageError(f"engines {action}: there is {', '.join(ACTIONS)}")
    if engine not in PARTS:
        raise UsageError(f"engines {action} {engine}: there is {', '.join(PARTS)}")
    cluster: Cluster = getattr(read_engines(conf or Path()), engine)
    if cluster.environment != "EXTERNAL":
        raise UsageError(
            f"conf/engines.yaml: {engine}.environment is {cluster.environment}: on this machine workers come from a pool, EXTERNAL"
        )
    place = local_engine.place_of(engine)
    ended: list[str] = []
    if action == "start":
        local_engine.start(place, PARTS[engine](place, cluster), say)
    elif action == "stop":
        ended = [each.name for each in local_engine.stop(place)]
    return look(place, cluster) | {"stopped": ended}


def look(place: Place, conf: Cluster) -> dict[str, Any]:
    """What runs, where it answers, and where its logs are."""
    alive = [each for each in local_engine.listed(place) if local_engine.is_alive(each)]
    addresses = {"page": conf.page, "job_server": conf.endpoint, "workers": conf.workers}
    return {
        "engine": place.engine,
        "processes": {each.name: each.pid for each in alive},
        "gone": [each.name for each in local_engine.listed(place) if each not in alive],
        "answers": {what: address for what, address in addresses.items() if alive and answers(address)},
        "logs": str(place.logs),
    }


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    console = Console(markup=False, highlight=False)
    if summary["stopped"]:
        console.print(f"{summary['engine']} is ended: {', '.join(summary['stopped'])}", soft_wrap=True)
    elif not summary["processes"]:
        console.print(f"{summary['engine']} does not run here: `lefi engines start {summary['engine']}`", soft_wrap=True)
    for name, pid in summary["processes"].items():
        console.print(f"{name:16} runs, process {pid}")
    for name in summary["gone"]:
        console.print(f"{name:16} has ended, and nobody has stopped it: see {summary['logs']}/{name}.log", soft_wrap=True)
    for what, address in summary["answers"].items():
        console.print(f"{what:16} answers at {'http://' if what == 'page' else ''}{address}")
