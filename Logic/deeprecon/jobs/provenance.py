"""The provenance of a result, which its result.json holds beside outputs and figures."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
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
        inputs: see `input_hashes`; from before the run.
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


def input_hashes(inputs: Any) -> list[dict[str, str]]:
    """Name and SHA-256 of each input; a folder's is that of the sorted names and checksums of its files.

    Raises:
        InputError: one cannot be read.
    """
    entries = []
    for path in (path for paths in input_paths(inputs).values() for path in paths):
        try:
            if path.is_dir():
                total = hashlib.sha256()
                for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
                    total.update(f"{file.relative_to(path).as_posix()} {digest(file).sha256}\n".encode())
                entries.append({"name": path.name, "sha256": total.hexdigest()})
            else:
                entries.append({"name": path.name, "sha256": digest(path).sha256})
        except OSError as error:
            raise InputError(f"Cannot read the input {path}: {error.strerror}.") from error
    return entries


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"deeprecon": VERSION, "python": platform.python_version()}
    for package in ("numpy", "torch"):
        found[package] = None
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
