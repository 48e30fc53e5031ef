"""The command line: `python -m deeprecon METHOD VERB ...`, made from the dataclasses of the verbs."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from deeprecon.cases.clusters import BATCH_SYSTEMS, LOCAL
from deeprecon.cases.parts import parts_in
from deeprecon.cases.place import Place
from deeprecon.cases.record import has_record
from deeprecon.cases.run import resume_cases, run_cases
from deeprecon.data.errors import InputError
from deeprecon.jobs.check import check_job
from deeprecon.jobs.command import JOB_FOLDER, Command, create_job_folder
from deeprecon.jobs.config_file import check_config_files
from deeprecon.jobs.console import Console, on_interrupt, plain_figures
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.job import MAX_SEED, MAX_THREADS, VERSION, Job, Precision
from deeprecon.jobs.options import (
    POSITIONAL_INPUT,
    BadValue,
    add_options,
    namespace_values,
    option_name,
    single_required_input,
)
from deeprecon.jobs.results.publication import finished_result
from deeprecon.jobs.run import STOP, request_stop
from deeprecon.jobs.verbs import METHODS, Verb, load_verb, load_verbs
from deeprecon.training.ranks import rank
from deeprecon.worker import BAD_INPUT, CANCELLED, DONE, INTERNAL, run_job

PROGRAM = "python -m deeprecon"
NOTICE = "For research only, never for diagnosis."


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 1 internal, 2 bad input, 3 cancelled.
    """
    console = Console()
    try:
        return _main(sys.argv[1:] if arguments is None else arguments, console)
    except (InputError, OSError, KeyboardInterrupt) as error:
        failure = explain_exception(error)
        console.finish()
        console.show_error(failure.message, failure.hint)
        return {"input": BAD_INPUT, "cancelled": CANCELLED}.get(failure.kind, INTERNAL)


def _main(arguments: list[str], console: Console) -> int:
    asks_help = ("-h", "--help")
    if arguments[:1] == ["--version"]:
        print(VERSION)
        return DONE
    if not arguments or arguments[0] in asks_help:
        summaries = {method: ", ".join(load_verbs(method)) for method in METHODS}
        print(_list_help("METHOD VERB [options]", "methods and their verbs", summaries))
        return DONE if arguments else BAD_INPUT
    method = arguments[0]
    if method.startswith("-"):
        raise InputError(f"There is no option {method} in this place.", f"Options follow after: {PROGRAM} METHOD VERB")
    verbs = load_verbs(method)
    if len(arguments) == 1 or arguments[1] in asks_help:
        summaries = {name: verb.summary for name, verb in verbs.items()}
        print(_list_help(f"{method} VERB [options]", "verbs", summaries))
        return DONE if len(arguments) > 1 else BAD_INPUT
    name = arguments[1]
    verb = load_verb(method, name)
    check_config_files(arguments[2:])
    options = _parser(method, name, verb).parse_args(arguments[2:])
    console.verbose = bool(options.verbose)
    if options.resume is not None:
        return _resume(method, name, options, console)
    if options.output is None:
        raise InputError("--output DIR must be given.", "Or --resume DIR, to continue an earlier run.")
    inputs, parameters = namespace_values(verb, options)
    command = Command(
        method,
        name,
        inputs,
        parameters,
        device=options.device or "auto",
        threads=options.threads or 0,
        precision=options.precision or "auto",
        seed=options.seed or 0,
        accept=tuple(options.accept or ()),
        overwrite=bool(options.overwrite),
    )
    output = Path(os.path.abspath(options.output))
    place = Place(options.scheduler, options.workers)
    if options.cases is not None:
        return run_cases(command, Path(options.cases), output, _part(options), console, place)
    if options.shard is not None:
        raise InputError("--shard is for the cases of --cases: give both.")
    folder = output / JOB_FOLDER
    if place != Place():
        _check_parts(command.job(folder), folder, place)
        command = place.with_threads(command)
    if not rank():
        create_job_folder(folder, command.job(folder))
    return _run_here(folder, console, place)


def _parser(method: str, name: str, verb: Verb) -> argparse.ArgumentParser:
    import jsonargparse

    width = min(shutil.get_terminal_size().columns, 110)
    parser: argparse.ArgumentParser = jsonargparse.ArgumentParser(
        prog=f"{PROGRAM} {method} {name}",
        usage=f"{PROGRAM} {method} {name} {_positional_usage(verb)}[options] --output DIR",
        description=verb.summary,
        epilog=NOTICE,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=width),
        allow_abbrev=False,
    )
    add_options(parser, verb)
    run = parser.add_argument_group("run")
    run.add_argument("--output", metavar="DIR", help="folder of the results (required)")
    run.add_argument("--resume", metavar="DIR", help="continue the interrupted run in DIR, with its settings")
    run.add_argument("--device", metavar="NAME", help="auto, cpu, cuda:0 or mps (default: auto)")
    run.add_argument("--threads", type=_threads, metavar="N", help="CPU threads (default: what is fastest)")
    run.add_argument(
        "--precision", choices=[entry.value for entry in Precision], help="of the computation (default: auto)"
    )
    run.add_argument("--seed", type=_seed, metavar="N", help="of all random numbers (default: 0)")
    run.add_argument(
        "--accept",
        nargs="+",
        action="extend",
        metavar="CODE",
        help="continue although the inputs contradict themselves in this way; the refusal names the code",
    )
    run.add_argument(
        "--overwrite",
        action="store_true",
        default=None,
        help="also replace files in the output folder that are not of an earlier result",
    )
    run.add_argument(
        "--cases",
        metavar="FILE",
        help="CSV file with a row for each case: its name under 'case', other columns named like the options without "
        "dashes in front, several values apart by ';', paths relative to the file; continues after a failure",
    )
    run.add_argument("--shard", type=_shard, metavar="I/N", help="run only the I-th of N parts of the cases")
    run.add_argument(
        "--scheduler",
        type=_scheduler,
        metavar="WHERE",
        help="run the cases, or the fits of a cross-validation, with Dask: local, the address of a scheduler such as "
        "tls://host:8786, or jobs of slurm, lsf or pbs",
    )
    run.add_argument(
        "--workers", type=_threads, metavar="N", help="run N cases at once, or make the fits of a cross-validation so"
    )
    run.add_argument(
        "--config", action="config", metavar="FILE", help="YAML or JSON file with options, several values as a list"
    )
    run.add_argument("--verbose", action="store_true", default=None, help="also show the log")
    return parser


def _positional_usage(verb: Verb) -> str:
    field = single_required_input(verb)
    return "" if field is None else f"{field.name.upper().replace('_', '-')} "


def _threads(text: str) -> int:
    return _count(text, 1, MAX_THREADS)


def _seed(text: str) -> int:
    return _count(text, 0, MAX_SEED)


def _count(text: str, minimum: int, maximum: int) -> int:
    text = str(text)  # a file of options gives numbers
    if not text.isdecimal() or not minimum <= int(text) <= maximum:
        raise BadValue(f"{text!r} is not a whole number from {minimum} to {maximum}")
    return int(text)


def _scheduler(text: str) -> str:
    text = str(text)
    if text not in (LOCAL, *BATCH_SYSTEMS) and not re.fullmatch(r"(\w+://)?[^:/]+:\d+", text):
        raise BadValue(
            f"{text!r} is neither {LOCAL}, {', '.join(BATCH_SYSTEMS)} nor an address such as tls://host:8786"
        )
    return text


def _part(options: Any) -> tuple[int, int]:
    part, parts = map(int, (options.shard or "1/1").split("/"))
    return part, parts


def _check_parts(job: Job, folder: Path, place: Place) -> None:
    """Check that what runs without --cases can be computed by several workers.

    Raises:
        InputError: it cannot, or their number is missing.
    """
    verb, _, parameters = check_job(job, folder)
    if not verb.in_parts(parameters):
        option = "--scheduler" if place.scheduler else "--workers"
        raise InputError(
            f"{option} is for the cases of --cases, and for the fits of a cross-validation, which are none here.",
            f"Leave out {option}, or give --cases.",
        )
    if place.workers is None:
        raise InputError("--workers N must be given: the fits are made in N parts, at once.")


def _shard(text: str) -> str:
    match = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise BadValue(f"{text!r} is not a part such as 1/4 to 4/4")
    return text


def _list_help(usage: str, title: str, entries: dict[str, str]) -> str:
    width = max(map(len, entries))
    lines = [f"  {name.ljust(width)}  {summary}".rstrip() for name, summary in entries.items()]
    return "\n".join([f"usage: {PROGRAM} {usage}", "", f"{title}:", *lines, "", f"Add --help for more. {NOTICE}"])


def _resume(method: str, name: str, options: Any, console: Console) -> int:
    given = [
        value if key == POSITIONAL_INPUT else option_name(key)
        for key, value in vars(options).items()
        if value is not None
    ]
    folder = Path(os.path.abspath(options.resume))
    cases = has_record(folder, _part(options))
    others = sorted(
        set(given) - {"--resume", "--verbose", "--scheduler", "--workers"} - ({"--shard"} if cases else set())
    )
    if others:
        raise InputError(f"--resume takes all settings from the earlier run: leave out {', '.join(others)}.")
    place = Place(options.scheduler, options.workers)
    if cases:
        return resume_cases(folder, _part(options), (method, name), console, place)
    folder = folder / JOB_FOLDER if (folder / JOB_FOLDER).is_dir() else folder
    job = Job.load(folder)
    if (job.method, job.verb) != (method, name):
        raise InputError(f"{options.resume} holds a run of {job.method} {job.verb}, not of {method} {name}.")
    if (done := finished_result(folder)) is not None:
        if not rank():
            print("This run is finished: there is nothing to resume.")
            _print_result(done.parent)
        return DONE
    if place != Place():
        _check_parts(job, folder, place)
    return _run_here(folder, console, place)


def _run_here(folder: Path, console: Console, place: Place) -> int:
    """Run a job in this process, its fits in `place` where that is another one, or help another process with it."""
    if rank():
        return run_job(folder)
    (folder / STOP).unlink(missing_ok=True)

    def stop() -> None:
        request_stop(folder, interrupted=True)
        console.show({"type": "status", "text": "Stopping; press Ctrl+C again to end at once"})

    with on_interrupt(stop) as interrupted:
        code = run_job(folder, console.show, None if place == Place() else parts_in(place))
    console.finish()
    if console.error is not None:
        error = console.error
        console.show_error(error["message"], error["hint"], _details(console), error.get("codes", ()))
        return code
    assert console.result is not None
    _print_result(Path(os.path.normpath(folder / console.result["path"])).parent)
    return CANCELLED if interrupted.is_set() else code


def _details(console: Console) -> str:
    """The traceback, where the error is not one that a person can mend."""
    error = console.error or {}
    return error.get("details", "") if error.get("kind") == "internal" or console.verbose else ""


def _print_result(output: Path) -> None:
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    rows = [*((role, entry["path"]) for role, entry in result["outputs"].items()), ("result", "result.json")]
    rows += plain_figures(result["metrics"]).items()
    for doubt in result["doubts"]:
        print(f"{'Assumed' if doubt['assumed'] else 'Accepted'}: {doubt['where']}: {doubt['text']} ({doubt['code']})")
    width = max(len(name) for name, _ in rows)
    stopped = result["provenance"]["stopped_early"]
    print(f"{'Stopped after' if stopped else 'Done in'} {result['provenance']['seconds']:.1f} s. Results in {output}")
    for name, value in rows:
        print(f"  {name.ljust(width)}  {value:.6g}" if isinstance(value, float) else f"  {name.ljust(width)}  {value}")
    if stopped:
        print("Give --resume with the same folder to continue.")
