"""Beam's pool of Python workers: an engine's worker asks it for a process that runs our steps, which need not know Docker.

    python -m pipelines.worker_pool PORT

Several workers of an engine may ask one pool, and each counts its processes from 1. Beam's own pool knows a process by that number alone, so the end of
one worker's process kills another's, whose engine then waits for ever. This one knows it by the address that it answers to as well.
"""

import socket
import sys
import threading
import time
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer, kill_process_gracefully

GRACE_SECONDS = 5  # in which a process ends by itself, as nobody talks to it any more


class Pool(BeamFnExternalWorkerPoolServicer):
    """The pool. Processes are known by number and control address."""

    def StartWorker(self, start_worker_request: Any, unused_context: Any) -> Any:  # noqa: N802 - Beam's name
        """Start a process, as Beam's pool does, and keep it under a name of its own."""
        answer = super().StartWorker(start_worker_request, unused_context)
        number, address = start_worker_request.worker_id, start_worker_request.control_endpoint.url
        process = self._worker_processes.pop(number, None)
        if process:
            self._worker_processes[f"{number} {address}"] = process
        return answer

    def StopWorker(self, stop_worker_request: Any, unused_context: Any) -> Any:  # noqa: ARG002, N802 - Beam's names
        """End the processes of a number to which nobody talks any more."""
        threading.Thread(target=self.end, args=(stop_worker_request.worker_id,), daemon=True).start()
        return beam_fn_api_pb2.StopWorkerResponse()

    def end(self, number: str) -> None:
        """The same, once they had time to end by themselves."""
        time.sleep(GRACE_SECONDS)
        for name, process in list(self._worker_processes.items()):
            of, address = name.split(" ")
            if of == number and (process.poll() is not None or not is_open(address)):
                self._worker_processes.pop(name, None)
                kill_process_gracefully(process)


def is_open(address: str) -> bool:
    """Whether somebody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Serve until the end."""
    _, server = Pool.start(use_process=True, port=int(sys.argv[1]))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
