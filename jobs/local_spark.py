"""A Spark cluster on this machine: a master, two workers, Python's worker pool, and Beam's job server, which is each job's driver."""

from jobs.local_engine import HEAP_MIB, JAVA_OPTIONS, WORKERS, Part, Place, asked, java, job_server
from jobs.worker_pool import worker_pool
from schemas.config import Cluster

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
JOB_SERVER = "org.apache.beam.runners.spark.SparkJobServerDriver"


def parts(place: Place, conf: Cluster) -> list[Part]:
    """The processes, in the order in which they are started. Workers start executors with the jars that lie in SPARK_HOME/jars: the same ones."""
    host, _, port = conf.master.rpartition(":")
    page_host, _, page_port = conf.page.rpartition(":")
    home = {"SPARK_HOME": str(place.jars.parent), "SPARK_SCALA_VERSION": "2.12", "SPARK_LOCAL_IP": host, "SPARK_PUBLIC_DNS": page_host}
    master = Part(
        "master",
        java(place, HEAP_MIB, MASTER, "--host", host, "--port", port, "--webui-port", page_port),
        lambda: asked(f"http://{conf.page}/json/") is not None,
        {"its page": conf.page, "its workers' port": conf.master},
        home,
    )

    def worker(number: int) -> Part:
        options = ("--host", host, "--cores", str(conf.parallelism), "--memory", "1g", "--webui-port", "0", "--work-dir", str(place.logs))
        return Part(
            f"worker-{number}",
            java(place, HEAP_MIB, WORKER, *options, f"spark://{conf.master}"),
            lambda: (asked(f"http://{conf.page}/json/") or {}).get("aliveworkers", 0) >= number,
            environment=home,
        )

    return [master, *map(worker, range(1, WORKERS + 1)), worker_pool(conf), driver(place, conf, home)]


def driver(place: Place, conf: Cluster, home: dict[str, str]) -> Part:
    """Beam's job server with what its jobs say to Spark: each of them has one executor of `parallelism` cores on each worker."""
    host = conf.endpoint.rpartition(":")[0]
    values = {
        "spark.driver.host": host,
        "spark.driver.bindAddress": host,
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": " ".join(JAVA_OPTIONS),
        "spark.default.parallelism": str(conf.parallelism),
        "spark.local.dir": str(place.run),
    }
    settings = [f"-D{name}={value}" for name, value in values.items()]
    return job_server(place, conf, JOB_SERVER, f"--spark-master-url=spark://{conf.master}", settings=settings, environment=home)
