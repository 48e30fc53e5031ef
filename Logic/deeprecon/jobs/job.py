"""Jobs: job.json in a folder of its own (format 1)."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeprecon.data.doubts import check_codes
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json

FORMAT = 1
VERSION = "0.1.0"
"""Version of the library, here alone: pyproject.toml reads it; Slicer has no metadata of a package."""

BUNDLE_CARD = "configs/metadata.json"
"""The file that makes a folder a model bundle."""

MAX_THREADS = 4096
MAX_SEED = 2**63 - 1
"""What torch takes."""


class Precision(enum.Enum):
    """Number format of a computation; auto is settled before it starts."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


PRECISIONS = tuple(entry.value for entry in Precision if entry is not Precision.AUTO)


@dataclass(frozen=True)
class Job:
    """One run of one verb of one method. Paths in `inputs` and `output` are relative to the job folder.

    Attributes:
        method: name of the method, such as "scar".
        verb: what is done, such as "reconstruct".
        inputs: the verb's inputs dataclass as JSON values.
        parameters: the verb's parameters dataclass as JSON values.
        output: folder of the outputs and of result.json.
        device: "cpu", "cuda:0", "mps", or "auto" until it is resolved.
        threads: CPU threads of torch, 0 until resolved.
        precision: "fp32", "bf16" or "fp16", or "auto" until resolved.
        seed: of every random number of the run.
        accept: codes of the contradictions with which the run continues, see `deeprecon.data.doubts`.
        overwrite: whether results replace files in `output` that are not of an earlier result.
        part: (i, n) of a job that only fits the i-th of n parts for another one, in whose `parts` its folder lies.
        inputs_read: name and SHA-256 of each input when the run began; it is only resumed with the same ones.
        version: of the library that made the job.
        format: of job.json.
    """

    method: str
    verb: str
    inputs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    output: str = "."
    device: str = "auto"
    threads: int = 0
    precision: str = "auto"
    seed: int = 0
    accept: list[str] = field(default_factory=list)
    overwrite: bool = False
    part: list[int] = field(default_factory=list)
    inputs_read: list[dict[str, str]] = field(default_factory=list)
    version: str = ""
    format: int = FORMAT

    @property
    def resolved(self) -> bool:
        """True when nothing is left to be probed: the same job.json then gives the same bits on the same machine."""
        return self.device != "auto" and self.threads > 0 and self.precision != "auto"

    def save(self, folder: Path) -> None:
        """Write `folder`/job.json, making the folder where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "job.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Read `folder`/job.json.

        Raises:
            InputError: no such file, broken JSON, unknown or impossible entries or codes, or another format.
        """
        path = folder / "job.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"Cannot read the job {path}: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not a valid job file: {error}.") from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise InputError(f"{path} is not a job of format {FORMAT}.", "Make the job again with this version.")
        fields = {entry.name: entry for entry in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(fields)):
            raise InputError(f"{path} has unknown entries: {', '.join(unknown)}.")
        if missing := sorted({"method", "verb"} - set(values)):
            raise InputError(f"{path} lacks {' and '.join(missing)}.")
        kinds = {"inputs": dict, "parameters": dict, "threads": int, "seed": int, "accept": list, "format": int,
                 "overwrite": bool, "part": list, "inputs_read": list}  # fmt: skip
        for name, value in values.items():
            kind = kinds.get(name, str)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise InputError(f"{path}: {name} is {value!r}, expected {kind.__name__}.")
        if not all(isinstance(code, str) for code in values.get("accept", [])):
            raise InputError(f"{path}: accept is {values['accept']!r}, expected a list of codes.")
        check_codes(values.get("accept", []))
        part = values.get("part", [])
        if part and not (list(map(type, part)) == [int, int] and 1 <= part[0] <= part[1]):
            raise InputError(f"{path}: part is {part}, expected such as [1, 4].")
        for name, most in (("threads", MAX_THREADS), ("seed", MAX_SEED)):
            if not 0 <= values.get(name, 0) <= most:
                raise InputError(f"{path}: {name} is {values[name]}, expected 0 to {most}.")
        return cls(**values)


def bundle_input(bundle: Path | None) -> dict[str, str]:
    """The input of a job that names a model bundle: its folder; nothing without one."""
    return {} if bundle is None else {"bundle": str(bundle.resolve())}
