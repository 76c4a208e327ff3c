"""Which engine runs the pipelines, and what becomes of it when one does not get through."""

import shutil
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner

from pipelines.failures import raise_noted
from pipelines.plan import Plan
from schemas.config import Cluster, Embedded, Engines, Prism
from schemas.errors import LefiError, UsageError, masked
from storage.conf import read_engines

CONNECT_SECONDS = 5
LONGEST_SECONDS = 7 * 86_400  # Beam's limit for a job that Prism runs: 60 seconds, where nothing is said
SHOWN = 300
NAMES = tuple(Engines.model_fields)
Build = Callable[[beam.Pipeline, Plan], object]


@dataclass(frozen=True)
class Engine:
    """A runner and its options. The embedded runner is named: `DirectRunner` would first try to download another one, and its
    multi-threaded mode loses elements. at_once: how many files, bites or partners one worker is given at a time; addresses: what must answer
    before it can be asked, by what it is.
    """

    name: str
    runner: Callable[[], Any]
    at_once: int
    arguments: tuple[str, ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()

    def options(self, job: str) -> PipelineOptions:
        """Beam's options; never those of the command line. job: how the engine's own pages call it."""
        return PipelineOptions([*self.arguments, f"--job_name={job}"])

    def require_answer(self) -> None:
        """See that the engine is there. LefiError says what is not, and what to do."""
        for what, address in self.addresses:
            host, _, port = address.rpartition(":")
            try:
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            except OSError as error:
                raise LefiError(
                    f"--runner {self.name}: {what} does not answer at {address} (conf/engines.yaml): `lefi engines status {self.name}` "
                    f"tells more; on one machine, `lefi engines start {self.name}` brings it up"
                ) from error


def require_known(name: str) -> None:
    """See that there is such an engine. UsageError names those that there are."""
    if name not in NAMES:
        raise UsageError(f"--runner {name}: there is {', '.join(NAMES)}")


def engine_of(name: str, conf: Path) -> Engine:
    """The engine of a name, as a workspace's conf has it. UsageError when that is wrong."""
    engines = read_engines(conf)
    if name == "prism":
        return prism(engines.prism)
    if name == "embedded":
        return embedded(engines.embedded)
    return cluster(name, getattr(engines, name))


def embedded(conf: Embedded) -> Engine:
    """Beam's runner in this process."""
    return Engine("embedded", FnApiRunner, conf.at_once)


def prism(conf: Prism) -> Engine:
    """Beam's local runner, a program of its own. UsageError when it is not there; nothing is downloaded."""
    binary = shutil.which(conf.binary)
    if binary is None:
        raise UsageError(
            f"--runner prism: there is no program '{conf.binary}' (conf/engines.yaml: prism.binary): "
            "`go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0` makes it"
        )
    return Engine("prism", PrismRunner, conf.at_once, (f"--prism_location={binary}", f"--job_server_timeout={LONGEST_SECONDS}"))


def cluster(name: str, conf: Cluster) -> Engine:
    """An engine that runs by itself, asked through Beam's job server."""
    arguments = (
        f"--job_endpoint={conf.endpoint}",
        f"--environment_type={conf.environment}",
        f"--environment_config={conf.workers}",
        f"--parallelism={conf.parallelism}",
        f"--sdk_worker_parallelism={conf.workers_of_each}",
        *(f"--files_to_stage={path}" for path in conf.files_to_stage),
        f"--environment_cache_millis={1000 * conf.worker_kept_seconds}",
    )
    pool = (("the worker pool", conf.workers),) if conf.environment == "EXTERNAL" else ()
    return Engine(name, PortableRunner, conf.at_once, arguments, (("Beam's job server", conf.endpoint), *pool))


def run(build: Build, plan: Plan, engine: Engine) -> Plan:
    """Run a pipeline that writes under staging. Returns the plan with this attempt's folder, in which the results of its steps are.

    Raises what a step failed with, as it was, and LefiError for an engine that is not there or gives up.
    """
    engine.require_answer()
    threading.excepthook = say_how_it_ended
    attempt = plan.begin()
    try:
        with beam.Pipeline(runner=engine.runner(), options=engine.options(f"lefi-{plan.run}")) as pipeline:
            build(pipeline, attempt)
    except (RuntimeError, LefiError, OSError, grpc.RpcError) as error:
        raise_noted(attempt.staging)
        if engine.name == "embedded":
            raise
        raise LefiError(f"--runner {engine.name}: {what_happened(error)}: look at the engine, and give the command again") from error
    return attempt


def say_how_it_ended(ended: threading.ExceptHookArgs) -> None:
    """What a thread ended with. Beam's own thread that reads a job's messages ends with its job server; who waits for the job is told, too."""
    if not isinstance(ended.exc_value, grpc.RpcError):
        threading.__excepthook__(ended)


def what_happened(error: BaseException) -> str:
    """What an engine said, in one line."""
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", lambda: None)()
        return f"the job server went away while the job was running ({code.name if code else 'no answer'})"
    said = " ".join(str(error).split())
    return f"the job failed: {masked(said)[:SHOWN]}"
