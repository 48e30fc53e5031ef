"""The chest in films as other devices and programs write them, read as `ctpa synthesize` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from deeprecon.cli import main
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.parameters import SynthesizeParameters
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph, read_radiograph
from deeprecon.jobs.run import Run, SilentReporter

from ..files import Pixels, chest

CHEST = chest()
GRAY = (CHEST >> 4).astype(np.uint8)


def read(folder: Path, path: Path, *accepted: str, **parameters: Any) -> tuple[Radiograph, set[str]]:
    """The film, and the codes of the doubts with which the run goes on.

    Raises:
        InputError: it cannot be read, or contradicts itself and that is not accepted.
    """
    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter(), accepted=accepted)
    film = read_radiograph(path)
    run.consider(film_doubts(film, SynthesizeParameters(**parameters)))
    return film, {doubt.code for doubt in run.doubts}


def refused(folder: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The message with which `ctpa synthesize` refuses a film; it names the file."""
    with pytest.raises(InputError):  # first, as a synthesis takes minutes
        read(folder, path)
    assert (
        main(["ctpa", "synthesize", str(path), "--device", "cpu", "--threads", "1", "--output", f"{folder}/out"]) == 2
    )
    message = capsys.readouterr().err
    assert path.name in message
    return message


def is_upright(image: Pixels) -> bool:
    """Whether an image is the chest as it is viewed, absorbing bright."""
    return image.shape == CHEST.shape and bool(np.corrcoef(image.ravel(), CHEST.ravel())[0, 1] > 0.99)


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a sequence of codes."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def table_item(first: int, values: Pixels, bits: int = 12) -> Dataset:
    """An item of a modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new(0x00283002, "US", [len(values), first, bits])
    item.add_new(0x00283006, "OW", values.astype("<u2").tobytes())
    return item
