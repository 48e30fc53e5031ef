"""Hands cases to a Dask scheduler."""

from __future__ import annotations

import os
import queue
import time
import uuid
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker

from deeprecon.cases.dask_task import cancel_batch, run_case
from deeprecon.cases.engine import end_of_failure
from deeprecon.data.errors import InputError
from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import CANCELLED, Failure, explain_exception

GPU = "GPU"
"""Name of the worker resource that stands for one GPU."""
INTERVAL = 1.0
"""Seconds between two looks at the workers."""
RENEWAL_INTERVAL = 30.0
"""Seconds between two requests for jobs in place of those that a batch system has ended."""
CHANGED_BY_DASK = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_",
                   "PYTHONHASHSEED")  # fmt: skip
"""Variables that Dask sets, also in this process; a case gets those of before, to be computed as in its process."""
SCHEDULER_LOST = Failure("crash", "The Dask scheduler was lost.", "Start it again and continue with --resume.")
WORKERS_LOST = Failure(
    "crash",
    "Its worker was lost each time.",
    "Look at the memory and the time limit of the workers, and continue with --resume.",
)


def changed_variables() -> dict[str, str | None]:
    """The environment variables that Dask changes, as they are now; None for what is not set."""
    return {name: os.environ.get(name) for name in CHANGED_BY_DASK}


class DaskEngine:
    """A client of a scheduler, and the cluster where one was started for this call.

    Args:
        client: connected.
        cluster: that was started for this call; None where it is another's.
        limit: of cases at once; None for as many as the workers take.
        gpu: whether each case needs a GPU.
        variables: what `changed_variables` gave before the cluster was started.
    """

    def __init__(
        self, client: Client, cluster: Any, limit: int | None, gpu: bool, variables: dict[str, str | None]
    ) -> None:
        self._client, self._cluster, self._limit, self._gpu = client, cluster, limit, gpu
        self._batch = f"deeprecon-{uuid.uuid4().hex}"
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._futures: dict[str, Future] = {}
        self._started: set[str] = set()
        self._variables = variables
        self._cancelled = False
        self._slots, self._next_look, self._next_renewal = 0, 0.0, time.monotonic() + RENEWAL_INTERVAL
        client.subscribe_topic(self._batch, lambda event: self._events.put(event[1]))

    def slots(self) -> int:
        """As in `Engine`: threads of the workers, or their GPUs.

        Raises:
            InputError: the scheduler is gone.
        """
        if time.monotonic() >= self._next_look:
            if self._client.status != "running":
                raise InputError(SCHEDULER_LOST.message, SCHEDULER_LOST.hint)
            workers = self._client.scheduler_info()["workers"].values()
            counts = [worker["resources"].get(GPU, 0) if self._gpu else worker["nthreads"] for worker in workers]
            self._slots = min(int(sum(counts)), self._limit or sum(map(int, counts)))
            self._renew_workers(len(counts))
            self._next_look = time.monotonic() + INTERVAL
        return self._slots

    def start(self, name: str, folder: Path) -> None:
        """As in `Engine`."""
        resources = {GPU: 1} if self._gpu else None
        arguments = (name, str(folder), self._batch, self._variables)
        key = f"{self._batch}-{name}"
        self._futures[name] = self._client.submit(run_case, *arguments, key=key, pure=False, resources=resources)

    def poll(self) -> list[tuple[str, Event]]:
        """As in `Engine`."""
        if self._cancelled and time.monotonic() >= self._next_look:  # also workers that have come since
            self._client.run(cancel_batch, self._batch, on_error="ignore")
            self._next_look = time.monotonic() + INTERVAL
        events: list[tuple[str, Event]] = []
        while not self._events.empty():
            event = self._events.get()
            name = event.pop("case")
            self._started.add(name)
            events.append((name, event))
        for name, future in list(self._futures.items()):
            if future.done() or self._client.status != "running":
                events.append((name, self._end(future)))
                del self._futures[name]
        return events

    def cancel(self) -> None:
        """As in `Engine`."""
        self._cancelled = True
        self._client.run(cancel_batch, self._batch, on_error="ignore")
        self._client.cancel([future for name, future in self._futures.items() if name not in self._started])

    def close(self) -> None:
        """As in `Engine`."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        for name, value in self._variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _end(self, future: Future) -> Event:
        if future.status == "finished":
            event: Event = future.result()
            return event
        if future.status == "error":
            error = future.exception()
            return end_of_failure(WORKERS_LOST if isinstance(error, KilledWorker) else explain_exception(error))
        return end_of_failure(CANCELLED if self._cancelled else SCHEDULER_LOST)

    def _renew_workers(self, count: int) -> None:
        """Ask a batch system for new jobs where some were ended, such as by their time limit."""
        if self._cluster is not None and time.monotonic() >= self._next_renewal:
            self._next_renewal = time.monotonic() + RENEWAL_INTERVAL
            if self._limit and count < self._limit:
                self._cluster.scale(self._limit)
