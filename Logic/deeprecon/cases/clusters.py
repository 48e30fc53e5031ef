"""Dask clusters: on this computer, from a batch system, or one that runs already."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.command import Command
from deeprecon.training.hardware import nvidia_cards, physical_cores

if TYPE_CHECKING:
    from deeprecon.cases.dask_engine import DaskEngine

LOCAL = "local"
BATCH_SYSTEMS = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster"}
GPU_DIRECTIVES = {"slurm": ["--gres=gpu:1"], "lsf": ["-gpu num=1"], "pbs": []}
"""What a job needs to be given a GPU; PBS has no such line apart from its `resource-spec`."""
LOOPBACK = "127.0.0.1"
CONNECT_TIMEOUT = 20
CONFIGURATION = "Set it in ~/.config/dask/jobqueue.yaml, see docs/clusters.md."


def open_dask(scheduler: str, workers: int | None, command: Command, logs: Path) -> tuple[DaskEngine, Command]:
    """Connect to a scheduler, starting it where it is to be a new one.

    Args:
        scheduler: "local", a batch system, or an address such as tls://host:8786.
        workers: how many jobs at once; needed for a batch system.
        command: that is run; its device and threads may be open.
        logs: folder for the logs and the certificate of a batch system.

    Returns:
        The engine, and the command with its device and threads settled.

    Raises:
        InputError: Dask is missing, no scheduler answers, or a setting is missing.
    """
    dask, distributed = _package("dask"), _package("distributed")
    from deeprecon.cases.dask_engine import GPU, DaskEngine, changed_variables

    cluster, variables = None, changed_variables()
    # A case whose worker was lost is run once more.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), _without_interrupts():
        if scheduler == LOCAL:
            cluster, command, workers = _start_local(command, workers)
        elif scheduler in BATCH_SYSTEMS:
            command = check_threads(command)
            command = replace(command, device="cpu" if command.device == "auto" else command.device)
            cluster = _start_batch(scheduler, workers, command, logs)
        else:
            command = check_threads(command)
        if cluster is None:
            _check_answer(scheduler)
        client = distributed.Client(cluster or scheduler, timeout=CONNECT_TIMEOUT, set_as_default=False)
    if command.device == "auto":
        offered = [worker["resources"] for worker in client.scheduler_info()["workers"].values()]
        command = replace(command, device="cuda:0" if any(GPU in names for names in offered) else "cpu")
    return DaskEngine(client, cluster, workers, command.device.startswith("cuda"), variables), command


def _check_answer(address: str) -> None:
    """Find out whether a scheduler answers: a `Client` that cannot connect leaves a traceback behind.

    Raises:
        InputError: it does not.
    """
    from distributed import Security
    from distributed.comm import connect

    async def answer() -> None:
        comm = await connect(address, timeout=CONNECT_TIMEOUT, **Security().get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(answer())
    except (OSError, ValueError, TypeError) as error:  # TypeError: no certificate for tls://
        hint = "Check the address, and for tls:// the certificates in the configuration of Dask."
        raise InputError(f"No Dask scheduler answers at {address}: {error}.", hint) from error


def check_threads(command: Command) -> Command:
    """The command, which must state its threads where other machines compute.

    Raises:
        InputError: it does not.
    """
    if not command.threads:
        message = "--threads must be given with this --scheduler, so that all machines compute alike."
        raise InputError(message, "It is the number of CPU threads of each job.")
    return command


def _start_local(command: Command, workers: int | None) -> tuple[Any, Command, int]:
    """Workers on this computer, which only listen to it, and only to holders of their certificate."""
    from distributed import LocalCluster

    class Cluster(LocalCluster):  # type: ignore[misc]
        """Each worker has its own GPU, where they have one."""

        def new_worker_spec(self) -> dict[str, Any]:
            ((name, spec),) = super().new_worker_spec().items()
            if gpus:
                own = {"CUDA_VISIBLE_DEVICES": gpus[int(name) % len(gpus)]}
                spec = {**spec, "options": {**spec["options"], "env": own, "resources": {"GPU": 1}}}
            return {name: spec}

    gpus = _visible_gpus() if command.device == "auto" or command.device.startswith("cuda") else []
    workers = workers or len(gpus) or max(1, physical_cores() // max(command.threads, 1))
    threads = command.threads or max(1, physical_cores() // workers)
    cluster = Cluster(
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        host=LOOPBACK,
        dashboard_address=f"{LOOPBACK}:0",
        protocol="tls://",
        security=True,
        memory_limit=0,  # the memory of a case is its child process's
        silence_logs=logging.CRITICAL,
    )
    cluster.scale(workers)
    return cluster, replace(command, threads=threads), workers


def _visible_gpus() -> list[str]:
    """Names by which CUDA can be limited to each of the GPUs that it sees."""
    if not nvidia_cards()[0]:
        return []
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named or [str(number) for number in range(torch.cuda.device_count())]


def _start_batch(system: str, workers: int | None, command: Command, logs: Path) -> Any:
    """Jobs of a batch system, one worker each, whose connections are encrypted and need a certificate."""
    if not workers:
        raise InputError(f"--workers N must be given with --scheduler {system}.", "It is the number of its jobs.")
    config = _package("dask").config
    jobqueue = _package("dask_jobqueue")
    logs.mkdir(parents=True, exist_ok=True)
    gpu = command.device.startswith("cuda")
    arguments = ["--nthreads", "1", "--no-dashboard", *(["--resources", "GPU=1"] if gpu else [])]
    directives = GPU_DIRECTIVES[system] if gpu else []
    try:
        cluster = getattr(jobqueue, BATCH_SYSTEMS[system])(
            cores=command.threads,
            processes=1,
            protocol="tls://",
            security=True,
            shared_temp_directory=str(logs),
            log_directory=str(logs),
            worker_extra_args=[*config.get(f"jobqueue.{system}.worker-extra-args"), *arguments],
            job_extra_directives=[*config.get(f"jobqueue.{system}.job-extra-directives"), *directives],
            scheduler_options={"dashboard_address": f"{LOOPBACK}:0"},
            silence_logs=logging.CRITICAL,
        )
    except ValueError as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise InputError(f"Dask cannot make jobs for {system}: {reason}.", CONFIGURATION) from error
    cluster.scale(workers)
    return cluster


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"--scheduler needs the Python package {name}.", "pip install 'deeprecon[cluster]'") from error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started within, now or later by the threads that are started within, ignore Ctrl+C.

    A terminal sends it to all of them, and workers have to live until their cases have stopped.
    """
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else it is started by such a thread, for which it would allow them again
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
