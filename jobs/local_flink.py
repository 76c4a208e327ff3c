"""A Flink cluster on this machine: a job manager, two task managers, Python's worker pool, and Beam's job server."""

from jobs.local_engine import HEAP_MIB, WORKERS, Part, Place, asked, java, job_server
from jobs.worker_pool import worker_pool
from schemas.config import Cluster

ENTRY = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
WORKER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"


def parts(place: Place, conf: Cluster) -> list[Part]:
    """The processes, in the order in which they are started."""
    page = f"http://{conf.page}"
    manager = Part(
        "job-manager",
        java(place, HEAP_MIB, ENTRY, "--configDir", str(place.run)),
        lambda: asked(f"{page}/overview") is not None,
        {"its page": conf.page, "its workers' port": conf.master},
        files={"config.yaml": both(place, conf)},
    )

    def worker(number: int) -> Part:
        return Part(
            f"task-manager-{number}",
            java(place, HEAP_MIB, WORKER, "--configDir", str(place.run), *memory(number, conf.parallelism)),
            lambda: (asked(f"{page}/overview") or {}).get("taskmanagers", 0) >= number,
        )

    return [
        manager,
        *map(worker, range(1, WORKERS + 1)),
        worker_pool(conf),
        job_server(place, conf, JOB_SERVER, f"--flink-master={conf.page}"),
    ]


def both(place: Place, conf: Cluster) -> str:
    """config.yaml: settings of manager and workers. A step is repeated three times before the job is given up; a lost worker is noticed within seconds."""
    host, _, port = conf.master.rpartition(":")
    page_host, _, page_port = conf.page.rpartition(":")
    values = {
        "jobmanager.rpc.address": host,
        "jobmanager.rpc.port": port,
        "jobmanager.bind-host": host,
        "rest.address": page_host,
        "rest.port": page_port,
        "rest.bind-address": page_host,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "3",
        "restart-strategy.fixed-delay.delay": f"{conf.worker_kept_seconds + 5}s",  # by then a Python worker that died is forgotten
        "classloader.resolve-order": "parent-first",  # the jars are the same; else Beam ends the Python workers after each step
        "heartbeat.interval": "2000",
        "heartbeat.timeout": "10000",
        "cluster.evenly-spread-out-slots": "true",
        "web.upload.dir": str(place.run),
        "io.tmp.dirs": str(place.run),
    }
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def memory(number: int, slots: int) -> list[str]:
    """A worker's own settings; Flink's shell scripts would compute the sizes. Each has room for all steps, so one may be lost."""
    values = {
        "taskmanager.resource-id": f"task-manager-{number}",
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": str(slots),
        "taskmanager.cpu.cores": str(slots),
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.task.heap.size": "256m",
        "taskmanager.memory.framework.off-heap.size": "64m",
        "taskmanager.memory.task.off-heap.size": "64m",
        "taskmanager.memory.managed.size": "128m",
        "taskmanager.memory.network.min": "128m",
        "taskmanager.memory.network.max": "128m",
        "taskmanager.network.sort-shuffle.min-buffers": "64",  # of 32 KiB; only descriptions are shuffled
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "64m",
        "taskmanager.memory.jvm-overhead.max": "64m",
    }
    return [f"-D{name}={value}" for name, value in values.items()]
