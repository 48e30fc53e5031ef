"""Runs one job: `python -m deeprecon.worker JOBDIR`. Panel, batch script and shell all come through `run_job`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.trial import try_to_read
from deeprecon.jobs.check import check_job, check_output, input_paths
from deeprecon.jobs.events import Event, EventLog, print_event, to_plain
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.job import VERSION, Job
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.process import die_with_parent
from deeprecon.jobs.results.provenance import check_unchanged, input_checksums, input_entries, provenance
from deeprecon.jobs.results.publication import RESULT, STOPPED, publish, settle
from deeprecon.jobs.run import STOP, Run, SilentReporter, whole_folder
from deeprecon.jobs.verbs import Verb
from deeprecon.training.devices import tell_of_missing_operations
from deeprecon.training.ranks import leave_process_group, rank, release_helpers, wait_for_rank_0

DONE, INTERNAL, BAD_INPUT, CANCELLED = range(4)
RESULT_FORMAT = 1
LOW_DISK_SPACE = 200e6
"""Free bytes below which a run warns before it starts."""


def run_job(
    folder: Path, show: Callable[[Event], None] = print_event, make_parts: Callable[[Job, Run], Run] | None = None
) -> int:
    """Run, or resume, the job in `folder`; never raises.

    Where torchrun started several processes, only the first one reports and writes; see `_compute_as_helper`.

    Args:
        folder: the job folder, with job.json.
        show: what is done with each event besides writing it to events.jsonl.
        make_parts: makes the fits of the settled job in processes of their own, and returns the run that finds them.

    Returns:
        The exit code: 0 done, 1 internal, 2 bad input, 3 cancelled.
    """
    try:
        if rank():
            _compute_as_helper(Path(folder).absolute())
        else:
            perform_job(folder, show, make_parts)
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        return {"input": BAD_INPUT, "cancelled": CANCELLED}.get(explain_exception(error).kind, INTERNAL)


def perform_job(
    folder: Path, show: Callable[[Event], None], make_parts: Callable[[Job, Run], Run] | None = None
) -> None:
    """Run, or resume, the job in `folder`.

    What the task writes is staged and moved to the job's output only when all went well; result.json comes last.

    Args:
        folder, show, make_parts: see `run_job`.

    Raises:
        Exception: whatever went wrong, after it was reported as an event.
    """
    started = time.monotonic()
    folder = Path(folder).absolute()
    staging = folder / ".staging"
    log: EventLog | None = None
    try:
        if not folder.is_dir():
            raise InputError(f"There is no job folder {folder}.", "Check the path.")
        log = _open_log(folder, show)
        _run(folder, staging, log, started, make_parts)
    except (Exception, KeyboardInterrupt) as error:
        failure = explain_exception(error)
        details = traceback.format_exc() if failure.kind in ("internal", "memory", "disk") else ""
        if log is not None:
            log.error(failure.kind, failure.message, failure.hint, details, failure.codes)
        else:  # the folder is missing, in use, or cannot be written to
            reported = {"kind": failure.kind, "message": failure.message, "hint": failure.hint, "details": details}
            show({"type": "error", "time": 0.0, **reported})
        raise
    finally:
        if log is not None:  # else the staged files are another run's
            shutil.rmtree(staging, ignore_errors=True)
            log.close()
        leave_process_group()


def _open_log(folder: Path, show: Callable[[Event], None]) -> EventLog:
    try:
        return EventLog(folder, show)
    except OSError as error:
        if explain_exception(error).kind != "internal":  # a full disk
            raise
        message = f"Cannot write to the job folder {folder}: {error.strerror or error}."
        raise InputError(message, "Choose another folder.") from error


def _compute_as_helper(folder: Path) -> None:
    """Compute a part of the first process's job, without events or results.

    Raises:
        Exception: whatever went wrong, after it was printed.
    """
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
    except (Exception, KeyboardInterrupt) as error:
        failure = explain_exception(error)
        print(f"Process {rank()}: {failure.message} {failure.hint}".rstrip(), file=sys.stderr, flush=True)
        raise
    finally:
        leave_process_group()


def _run(
    folder: Path,
    staging: Path,
    log: EventLog,
    started: float,
    make_parts: Callable[[Job, Run], Run] | None,
) -> None:
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
    settle(output)
    for paths in input_paths(inputs).values():
        for path in paths:
            try_to_read(path)
    own = whole_folder(folder) if job.part else output  # other parts write there while this one runs
    checksums = input_checksums(inputs, own)
    entries = input_entries(checksums)
    _check_same_inputs(folder, job, entries)
    job, parameters = _resolve(replace(job, inputs_read=entries), verb, parameters, log)
    job.save(folder)
    release_helpers()
    settings = (job.device, job.threads, job.precision, job.seed)
    part = (job.part[0], job.part[1]) if job.part else None
    run = Run(folder, staging, *settings, log, accepted=tuple(job.accept), part=part)
    if make_parts is not None:
        run = make_parts(job, run)
    with tell_of_missing_operations(log.warning):
        outcome = verb.function(inputs, parameters, run)
    if run.should_stop():
        log.warning("The run was stopped early; the result is the best it had by then.")

    took = time.monotonic() - started
    check_unchanged(inputs, own, checksums)
    content = {
        "format": RESULT_FORMAT,
        "outputs": outcome.outputs,
        "metrics": to_plain(outcome.metrics),
        "doubts": [doubt.as_json() for doubt in run.doubts],
        "provenance": to_plain(provenance(outcome, job.method, job.verb, entries, job.parameters, run, took)),
    }
    taken = {os.path.realpath(path) for paths in input_paths(inputs).values() for path in paths}
    target = publish(staging, output, content, taken, run.interrupted, job.overwrite)
    _say_where(target, output, log)
    # After an early stop the job can still be resumed; the fits of a part are for the whole run.
    if not run.should_stop() and not verb.keeps_checkpoint and not job.part:
        shutil.rmtree(run.checkpoint, ignore_errors=True)
    log.progress(1.0, 0.0)
    log.result(Path(os.path.normpath(Path(job.output) / target.relative_to(output) / RESULT)), outcome.metrics)


def _check_same_inputs(folder: Path, job: Job, entries: list[dict[str, str]]) -> None:
    """Check that a run that is resumed has the inputs that it began with.

    Raises:
        InputError: it has others.
    """
    if job.inputs_read and job.inputs_read != entries:
        names = [entry["name"] for entry in entries if entry not in job.inputs_read] or [job.inputs_read[-1]["name"]]
        message = f"The run in {folder} began with other inputs: {', '.join(names)} changed since."
        raise InputError(message, "Start it anew, without --resume.")


def _say_where(target: Path, output: Path, log: EventLog) -> None:
    """A warning where the result does not lie in the output folder itself."""
    if STOPPED in target.relative_to(output).parts:
        log.warning(f"The complete result in {output} stays; what this interrupted run had lies in {target}.")
    elif target != output:
        log.warning(
            f"{output} has files of the same names that are no result, or were changed since: they stay, and the "
            f"result lies in {target}. --overwrite replaces them."
        )


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
            (options.folder / STOP).unlink()
    return run_job(options.folder)


if __name__ == "__main__":
    sys.exit(main())
