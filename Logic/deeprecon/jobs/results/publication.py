"""Moving a run's files and its result.json to the output folder, so that nothing that lay there is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256, write_json
from deeprecon.jobs.events import EVENTS

RESULT = "result.json"
INCOMING = ".incoming"
"""Below the output folder: a complete result whose files are being moved. A run that finds it ends the move first."""
STOPPED = "stopped"
"""Below the output folder: the result of an interrupted run where a complete one lies in the output folder."""
SEPARATE = "result"
"""Below the output folder: a result that would have replaced files that are not of an earlier result."""


def publish(
    staging: Path, output: Path, content: Mapping[str, Any], inputs: set[str], interrupted: bool, overwrite: bool
) -> Path:
    """Move the staged files to the output folder; an earlier result of the same verb is replaced completely.

    Args:
        staging: the files, which `content` lists under outputs.
        output: an existing folder.
        content: of result.json; this adds checksums to its outputs and lists the other files.
        inputs: real paths of the run's inputs.
        interrupted: the run was ended from outside: it does not replace a complete result but goes into `STOPPED`.
        overwrite: also replace files that are not of an earlier result; else the result goes into `SEPARATE`.

    Returns:
        The folder of the result.

    Raises:
        InputError: a result would replace an input.
        OSError: the files cannot be moved; the next run in the folder ends the move.
    """
    names = sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file())
    for name in names:
        if os.path.realpath(output / name) in inputs:
            raise InputError(
                f"The result {name} would replace the input {output / name}.", "Choose another output folder."
            )
    settle(output)
    target = output / STOPPED if interrupted and _is_complete(output) else output
    if not overwrite and any(_foreign_files(target, names)):
        target = _separate_folder(target, names)
    target.mkdir(exist_ok=True)
    settle(target)
    write_json(staging / RESULT, _with_checksums(staging, content, names))
    _bring(staging, target / INCOMING)
    if _verb_of(read_result(target)) == _verb_of(content):
        _remove_files(target, inputs | {os.path.realpath(target / name) for name in names})
    settle(target)
    return target


def settle(output: Path) -> None:
    """End a move of files that was interrupted, if there was one."""
    incoming = output / INCOMING
    if not (incoming / RESULT).is_file():
        shutil.rmtree(incoming, ignore_errors=True)
        return
    (output / RESULT).unlink(missing_ok=True)  # without it the folder is not to be trusted
    for source in sorted(path for path in incoming.rglob("*") if path.is_file()):
        if source != incoming / RESULT:
            target = output / source.relative_to(incoming)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
    os.replace(incoming / RESULT, output / RESULT)
    shutil.rmtree(incoming, ignore_errors=True)


def _foreign_files(output: Path, names: list[str]) -> Iterator[str]:
    own = _listed(read_result(output))
    for name in names:
        path = output / name
        if os.path.lexists(path) and not (path.is_file() and own.get(name) == sha256(path)):
            yield name


def finished_result(folder: Path) -> Path | None:
    """result.json of a job that ran to its end; None where it was stopped, failed, or its result is gone.

    Args:
        folder: of the job.
    """
    with suppress(OSError, LookupError):
        path = _result_of_event(folder, (folder / EVENTS).read_bytes().splitlines()[-1])
        return path if path is not None and _is_complete(path.parent) else None
    return None


def last_result(folder: Path) -> Path | None:
    """The folder of a job's newest complete result, else of its newest one; None where there is none, or none any more.

    Args:
        folder: of the job.
    """
    try:
        lines = (folder / EVENTS).read_bytes().splitlines()
    except OSError:
        return None
    paths = [path for line in reversed(lines) if (path := _result_of_event(folder, line)) is not None]
    found = [path.parent for path in paths if path.is_file()]
    return next(filter(_is_complete, found), found[0] if found else None)


def _result_of_event(folder: Path, line: bytes) -> Path | None:
    """The result.json that a line of the events of a job tells of; None where it tells of something else."""
    if b'"result"' not in line:
        return None
    try:
        event = json.loads(line)
        return Path(os.path.normpath(folder / event["path"])) if event["type"] == "result" else None
    except (ValueError, LookupError, TypeError):
        return None


def _is_complete(output: Path) -> bool:
    origin = read_result(output).get("provenance")
    return isinstance(origin, dict) and not origin.get("stopped_early")


def read_result(output: Path) -> dict[str, Any]:
    """The content of a result.json; nothing where there is none, or it is not one of ours."""
    try:
        content = json.loads((output / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _verb_of(content: Mapping[str, Any]) -> tuple[Any, Any]:
    origin = content.get("provenance")
    return (origin.get("method"), origin.get("verb")) if isinstance(origin, dict) else (None, None)


def _listed(content: Mapping[str, Any]) -> dict[str, str]:
    """Checksum by name of the files that a result.json lists."""
    found: dict[str, str] = {}
    with suppress(KeyError, TypeError, AttributeError):
        for entry in content["outputs"].values():
            if "sha256" in entry:
                found[entry["path"]] = entry["sha256"]
            found |= {f"{entry['path']}/{name}": checksum for name, checksum in entry.get("files", {}).items()}
        found |= content.get("other_files", {})
    return found


def _with_checksums(staging: Path, content: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    outputs = {role: _entry(staging, path) for role, path in content["outputs"].items()}
    result = {**content, "outputs": outputs}
    listed = _listed(result)
    return {**result, "other_files": {name: sha256(staging / name) for name in names if name not in listed}}


def _entry(staging: Path, path: Path) -> dict[str, Any]:
    """One output as result.json has it: its path with a checksum, or, of a folder, each file's checksum."""
    full = staging / path
    name = full.relative_to(staging).as_posix()
    if full.is_dir():
        files = sorted(file for file in full.rglob("*") if file.is_file())
        return {"path": name, "files": {file.relative_to(full).as_posix(): sha256(file) for file in files}}
    return {"path": name, "sha256": sha256(full)}


def _remove_files(output: Path, keep: set[str]) -> None:
    """Remove the outputs that an earlier result.json lists.

    Files that were changed since, that lie elsewhere, or whose real path is in `keep` stay.
    """
    inside = os.path.join(os.path.realpath(output), "")
    for name, checksum in _listed(read_result(output)).items():
        path = os.path.realpath(output / name)
        if path.startswith(inside) and path not in keep and os.path.isfile(path) and sha256(path) == checksum:
            os.unlink(path)


def _bring(staging: Path, incoming: Path) -> None:
    """Rename, or, between two disks, copy and rename; so the incoming folder is complete or not there."""
    try:
        os.rename(staging, incoming)
    except OSError:
        part = incoming.with_name(f"{INCOMING}-{os.getpid()}")
        try:
            shutil.copytree(staging, part)
            os.rename(part, incoming)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _separate_folder(output: Path, names: list[str]) -> Path:
    """The first of result, result-2, ... in which no foreign file is in the way."""
    number, folder = 1, output / SEPARATE
    while any(_foreign_files(folder, names)) or (os.path.lexists(folder) and not folder.is_dir()):
        number += 1
        folder = output / f"{SEPARATE}-{number}"
    return folder
