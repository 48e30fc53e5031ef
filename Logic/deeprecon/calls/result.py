"""What a verb that was called from Python returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deeprecon.data.doubts import Doubt
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.console import format_value, plain_figures
from deeprecon.jobs.results.publication import RESULT


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a verb has made: files in a folder, figures, and what was assumed.

    Attributes
    ----------
    folder : Path
        Folder of the files, ``result.json`` among them. Without ``output`` it is a temporary one, which is removed
        when Python ends.
    outputs : mapping of str to Path
        Each output by its role: a file, or a folder such as a model bundle.
    figures : mapping of str to object
        Numbers and words that were measured, such as those in the report; JSON values.
    doubts : tuple of Doubt
        What was assumed, and the contradictions that were accepted.
    warnings : tuple of str
        Sentences that should be read.
    provenance : mapping of str to object
        Checksums of the inputs, versions, settings, seed, device and time.
    """

    folder: Path
    outputs: Mapping[str, Path]
    figures: Mapping[str, Any]
    doubts: tuple[Doubt, ...]
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path | str, warnings: tuple[str, ...] = ()) -> Self:
        """The result in a folder with its ``result.json``."""
        folder = Path(folder)
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return cls(
            folder,
            {role: folder / entry["path"] for role, entry in content["outputs"].items()},
            content["metrics"],
            Doubt.from_json(content["doubts"]),
            warnings,
            content["provenance"],
        )

    def __repr__(self) -> str:
        figures = (f"    {name}: {format_value(value)}" for name, value in plain_figures(dict(self.figures)).items())
        lines = [f"{type(self).__name__} in {self.folder}", f"    outputs: {', '.join(self.outputs)}", *figures]
        return "\n".join([*lines, *(f"    {text}" for text in dict.fromkeys([*map(str, self.doubts), *self.warnings]))])

    def _volume(self, role: str) -> Volume | None:
        """A volume among the outputs, read from its file; None where there is none of this role."""
        return read_volume(self.outputs[role]) if role in self.outputs else None
