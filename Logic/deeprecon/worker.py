"""Runs one job: `python -m deeprecon.worker JOBDIR`. Panel, batch script and shell all come through `run_job`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256, write_json
from deeprecon.jobs.check import check_job, check_output, input_paths
from deeprecon.jobs.events import Event, EventLog, print_event, to_plain
from deeprecon.jobs.failures import Failure, explain_exception
from deeprecon.jobs.job import VERSION, Job
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.process import die_with_parent
from deeprecon.jobs.provenance import input_hashes, provenance
from deeprecon.jobs.run import Outcome, Run, SilentReporter
from deeprecon.jobs.verbs import Verb
from deeprecon.training.ranks import leave_process_group, rank, release_helpers, wait_for_rank_0

DONE, INTERNAL, BAD_INPUT, CANCELLED = range(4)
RESULT_FORMAT = 1
LOW_DISK_SPACE = 200e6
"""Free bytes below which a run warns before it starts."""


def run_job(folder: Path, show: Callable[[Event], None] = print_event) -> int:
    """Run, or resume, the job in `folder`; never raises.

    What the task writes is staged and moved to the job's output only when all went well; result.json comes last.
    Where torchrun started several processes, only the first one does that; see `_compute_as_helper`.

    Args:
        folder: the job folder, with job.json.
        show: what is done with each event besides writing it to events.jsonl.

    Returns:
        The exit code: 0 done, 1 internal, 2 bad input, 3 cancelled.
    """
    started = time.monotonic()
    folder = Path(folder).absolute()
    if rank():
        return _compute_as_helper(folder)
    staging = folder / ".staging"
    log: EventLog | None = None
    try:
        if not folder.is_dir():
            raise InputError(f"There is no job folder {folder}.", "Check the path.")
        log = EventLog(folder, show)
        _run(folder, staging, log, started)
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        failure = explain_exception(error)
        details = traceback.format_exc() if failure.kind in ("internal", "memory", "disk") else ""
        if log is not None:
            log.error(failure.kind, failure.message, failure.hint, details, failure.codes)
        else:  # the folder is missing, in use, or cannot be written to
            if isinstance(error, OSError) and failure.kind == "internal":
                message = f"Cannot write to the job folder {folder}: {error.strerror or error}."
                failure = Failure("input", message, "Choose another folder.")
            reported = {"kind": failure.kind, "message": failure.message, "hint": failure.hint, "details": details}
            show({"type": "error", "time": 0.0, **reported})
        return {"input": BAD_INPUT, "cancelled": CANCELLED}.get(failure.kind, INTERNAL)
    finally:
        if log is not None:  # else the staged files are another run's
            shutil.rmtree(staging, ignore_errors=True)
            log.close()
        leave_process_group()


def _compute_as_helper(folder: Path) -> int:
    """Compute a part of the first process's job, without events or results; never raises."""
    try:
        wait_for_rank_0()
        job = Job.load(folder)
        verb, inputs, parameters = check_job(job, folder)
        from deeprecon.training import devices

        devices.set_up(job.device, job.threads, job.seed)
        with tempfile.TemporaryDirectory() as staging:
            run = Run(
                folder,
                Path(staging),
                job.device,
                job.threads,
                job.precision,
                job.seed,
                SilentReporter(),
                accepted=tuple(job.accept),
            )
            verb.function(inputs, parameters, run)
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        failure = explain_exception(error)
        print(f"Process {rank()}: {failure.message} {failure.hint}".rstrip(), file=sys.stderr, flush=True)
        return {"input": BAD_INPUT, "cancelled": CANCELLED}.get(failure.kind, INTERNAL)
    finally:
        leave_process_group()


def _run(folder: Path, staging: Path, log: EventLog, started: float) -> None:
    log.status("Checking the inputs")
    job = Job.load(folder)
    verb, inputs, parameters = check_job(job, folder)
    output = Path(os.path.abspath(folder / job.output))
    check_output(output)
    free = shutil.disk_usage(output).free
    if free < LOW_DISK_SPACE:
        log.warning(f"Only {free / 1e6:.0f} MB are free on the disk of the output folder.")
    if job.version not in ("", VERSION):
        log.warning(f"The job was made by version {job.version}, this is {VERSION}: results may differ.")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    hashes = input_hashes(inputs)

    job, parameters = _resolve(job, verb, parameters, log)
    job.save(folder)
    release_helpers()
    accepted = tuple(job.accept)
    run = Run(folder, staging, job.device, job.threads, job.precision, job.seed, log, accepted=accepted)
    outcome = verb.function(inputs, parameters, run)
    if run.should_stop():
        log.warning("The run was stopped early; the result is the best it had by then.")

    took = time.monotonic() - started
    origin = provenance(outcome, job.method, job.verb, hashes, job.parameters, run, took)
    _publish(outcome, staging, output, origin, inputs, run.doubts)
    if not run.should_stop():  # after an early stop the job can still be resumed
        shutil.rmtree(run.checkpoint, ignore_errors=True)
    log.progress(1.0, 0.0)
    log.result(Path(os.path.normpath(Path(job.output) / "result.json")), outcome.metrics)


def _resolve_precision(job: Job, precisions: tuple[str, ...], device: str) -> str:
    from deeprecon.training import devices

    if job.precision != "auto" and job.precision not in precisions:
        raise InputError(
            f"{job.method} {job.verb} cannot compute in {job.precision} with these settings.",
            f"It can in {', '.join(precisions)}.",
        )
    only = precisions[0] if len(precisions) == 1 else None
    return only or devices.resolve_precision(device, job.precision)


def _resolve(job: Job, verb: Verb, parameters: Any, log: EventLog) -> tuple[Job, Any]:
    """Settle device, threads, precision and step counts, and state them; a job that has them is not probed again."""
    if verb.needs_torch(parameters):
        from deeprecon.training import devices

        log.status("Preparing the device")
        device = devices.resolve_device(job.device)
        if job.device == "auto" and (reason := devices.fallback_reason(device)):
            log.warning(reason)
        threads = job.threads or devices.resolve_threads(device)
        precision = job.precision if job.resolved else _resolve_precision(job, verb.precisions(parameters), device)
        devices.set_up(device, threads, job.seed)
    else:
        device, threads, precision = "cpu", 1, "fp32"
    if verb.resolve is not None:
        parameters = verb.resolve(parameters, device, threads, precision)
    log.status(f"Computing on {device}, {threads} thread{'s' if threads > 1 else ''}, {precision}")
    settled = to_json(parameters)
    return replace(
        job, parameters=settled, device=device, threads=threads, precision=precision, version=VERSION
    ), parameters


def _publish(
    outcome: Outcome, staging: Path, output: Path, origin: dict[str, Any], inputs: Any, doubts: Sequence[Doubt]
) -> None:
    """Move the staged files to the output folder and write result.json.

    While there is no result.json the folder is not to be trusted: the old one goes first, the new one comes last. An
    earlier result of the same verb is replaced completely, so that no old picture lies beside new numbers.
    """
    staged = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    taken = {os.path.realpath(path) for paths in input_paths(inputs).values() for path in paths}
    for name in staged:
        if os.path.realpath(output / name) in taken:
            raise InputError(
                f"The result {name} would replace the input {output / name}.", "Choose another output folder."
            )
    outputs = {role: _entry(staging, path) for role, path in outcome.outputs.items()}
    result = {
        "format": RESULT_FORMAT,
        "outputs": outputs,
        "metrics": to_plain(outcome.metrics),
        "doubts": [doubt.as_json() for doubt in doubts],
        "provenance": to_plain(origin),
    }
    _remove_old(output, origin, taken | {os.path.realpath(output / name) for name in staged})
    for name in staged:
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _move(staging / name, target)
    write_json(output / "result.json", result)


def _entry(staging: Path, path: Path) -> dict[str, Any]:
    """One output as result.json has it: its path with a checksum, or, of a folder, each file's checksum."""
    full = staging / path
    name = full.relative_to(staging).as_posix()
    if full.is_dir():
        files = sorted(file for file in full.rglob("*") if file.is_file())
        return {"path": name, "files": {file.relative_to(full).as_posix(): sha256(file) for file in files}}
    return {"path": name, "sha256": sha256(full)}


def _remove_old(output: Path, origin: dict[str, Any], keep: set[str]) -> None:
    """Remove the old result.json and, where it is of the same verb, the outputs that it lists.

    Files that were changed since, that lie elsewhere, or whose real path is in `keep` stay.
    """
    old_result = output / "result.json"
    try:
        old = json.loads(old_result.read_text(encoding="utf-8"))
        same = all(old["provenance"][name] == origin[name] for name in ("method", "verb"))
        entries = list(old["outputs"].values()) if same else []
        listed = {entry["path"]: entry["sha256"] for entry in entries if "sha256" in entry}
        for entry in entries:
            listed |= {f"{entry['path']}/{name}": checksum for name, checksum in entry.get("files", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or not ours
        listed = {}
    old_result.unlink(missing_ok=True)
    inside = os.path.join(os.path.realpath(output), "")
    for name, checksum in listed.items():
        path = os.path.realpath(output / name)
        if path.startswith(inside) and path not in keep and os.path.isfile(path) and sha256(path) == checksum:
            os.unlink(path)


def _move(source: Path, target: Path) -> None:
    """Rename, or, between two disks, copy under a temporary name and rename."""
    try:
        os.replace(source, target)
    except OSError:
        part = target.with_name(f".part-{os.getpid()}-{target.name}")
        try:
            shutil.copyfile(source, part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """`JOBDIR` runs a job, `--probe` prints one JSON line about the devices of this computer.

    Returns:
        The exit code.
    """
    has_parent = die_with_parent()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="python -m deeprecon.worker", description="Run or resume one job.")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("folder", nargs="?", type=Path, metavar="JOBDIR", help="job folder with its job.json")
    choice.add_argument("--probe", action="store_true", help="print a line of JSON about the devices, and exit")
    options = parser.parse_args(arguments)
    if options.probe:
        from deeprecon.training.devices import probe

        print_event({"type": "probe", **to_plain(probe())})
        return DONE
    if not has_parent:  # started by hand: an earlier request to stop does not concern this run
        with suppress(OSError):
            (options.folder / "stop").unlink()
    return run_job(options.folder)


if __name__ == "__main__":
    sys.exit(main())
