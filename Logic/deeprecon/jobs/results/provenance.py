"""The provenance of a result, which its result.json holds beside outputs and figures."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import digest
from deeprecon.jobs.check import input_paths
from deeprecon.jobs.job import VERSION
from deeprecon.jobs.run import Outcome, Run


def provenance(
    outcome: Outcome,
    method: str,
    verb: str,
    inputs: Sequence[Mapping[str, str]],
    parameters: Mapping[str, Any],
    run: Run,
    seconds: float,
) -> dict[str, Any]:
    """The provenance of a run that has just ended.

    Args:
        outcome: its own notes come first.
        method, verb: that were run.
        inputs: see `input_entries`; from before the run.
        parameters: as JSON values.
        run: see there.
        seconds: that it took.
    """
    return {
        **outcome.provenance,
        "method": method,
        "verb": verb,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "versions": _versions(),
        "inputs": inputs,
        "parameters": parameters,
        "seed": run.seed,
        "device": run.device,
        "threads": run.threads,
        "precision": run.precision,
        "stopped_early": run.should_stop(),
    }


def input_checksums(inputs: Any, output: Path) -> dict[Path, dict[str, str]]:
    """SHA-256 of each file of each input, by input and name within it ("" for an input that is a file).

    Args:
        inputs: dataclass of inputs with absolute paths.
        output: folder of the results; where it lies within an input, its files do not count.

    Raises:
        InputError: a file cannot be read.
    """
    found: dict[Path, dict[str, str]] = {}
    for path in (path for paths in input_paths(inputs).values() for path in paths):
        try:
            files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
            found[path] = {
                file.relative_to(path).as_posix() if file != path else "": digest(file).sha256
                for file in files
                if output not in file.parents or output in (path, *path.parents)
            }
        except OSError as error:
            raise InputError(f"Cannot read the input {path}: {error.strerror}.") from error
    return found


def input_entries(checksums: Mapping[Path, Mapping[str, str]]) -> list[dict[str, str]]:
    """Name and SHA-256 of each input; a folder's is that of the sorted names and checksums of its files."""
    entries = []
    for path, files in checksums.items():
        lines = "".join(f"{name} {checksum}\n" for name, checksum in files.items())
        total = files.get("") or hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
        entries.append({"name": path.name, "sha256": total})
    return entries


def check_unchanged(inputs: Any, output: Path, before: Mapping[Path, Mapping[str, str]]) -> None:
    """Compare the inputs with those of the beginning of the run; files that came into a folder do not matter.

    Raises:
        InputError: one was changed or is gone.
    """
    after = input_checksums(inputs, output)
    for path, files in before.items():
        for name, checksum in files.items():
            if after.get(path, {}).get(name) != checksum:
                raise InputError(
                    f"The input {path / name} was changed while the run used it: which state it used is not known.",
                    "Run it again.",
                )


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"deeprecon": VERSION, "python": platform.python_version()}
    for package in ("numpy", "torch"):
        found[package] = None
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
