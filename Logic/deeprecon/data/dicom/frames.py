"""Frames of enhanced multi-frame DICOM files and what each says of itself (PS3.3, C.7.6.16)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.header import CUT_OFF, first_item, read_header
from deeprecon.data.errors import InputError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
ENHANCED = tuple(_STORAGE + kind for kind in ("2.1", "2.2", "4.1", "4.4", "128.1", "130"))
"""Storage classes: enhanced and legacy converted CT, MR and PET."""


@dataclass(frozen=True, eq=False)
class FrameGroups:
    """Functional groups of a frame: its own and those that all frames share, pydicom Datasets."""

    own: Any
    shared: Any

    def item(self, sequence: str) -> Any | None:
        """The item of a functional group by its keyword; None where the file does not have it."""
        found = first_item(self.own, sequence)
        return first_item(self.shared, sequence) if found is None else found


def read_frame_groups(path: Path) -> list[FrameGroups]:
    """Functional groups of each frame of an enhanced file.

    Raises:
        InputError: the file is damaged, or does not describe each of its frames.
    """
    return _frame_groups(path, read_header(path))


def read_frame_pixels(path: Path) -> npt.NDArray[np.generic]:
    """Pixels (frame, j, i) of an enhanced file, each frame rescaled as it says itself, else as the file says.

    Raises:
        InputError: the file is damaged, or its compression is not supported.
    """
    import pydicom

    compressed = False
    try:
        dataset = pydicom.dcmread(path)
        compressed = bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)
        stored = np.asarray(dataset.pixel_array)
        scales = np.array([_scale(groups, dataset) for groups in _frame_groups(path, dataset)])
    except InputError:
        raise
    except Exception as error:  # of a damaged file pydicom raises whatever its parser met
        if compressed:
            raise InputError(
                f"{path} is a compressed multi-frame file, which cannot be read here.",
                "Export it without compression, or convert it with dcm2niix.",
            ) from error
        raise InputError(*(words.format(path=path) for words in CUT_OFF)) from error
    stored = stored.reshape(-1, *stored.shape[-2:])
    if dataset.PixelRepresentation == 1:  # pydicom before 3 leaves the bits above the sign as they are in the file
        unused = dataset.BitsAllocated - dataset.BitsStored
        stored = (stored << unused) >> unused
    if (scales == (1.0, 0.0)).all():
        return stored
    slopes, intercepts = scales.astype(np.float32).T[..., None, None]
    rescaled: npt.NDArray[np.float32] = stored.astype(np.float32) * slopes + intercepts
    return rescaled


def _frame_groups(path: Path, dataset: Any) -> list[FrameGroups]:
    frames = dataset.get("PerFrameFunctionalGroupsSequence")
    if not frames or len(frames) != int(dataset.get("NumberOfFrames") or 1):
        raise InputError(f"{path} does not describe each of its frames.", "Export the series again.")
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    return [FrameGroups(own, {} if shared is None else shared) for own in frames]


def _scale(groups: FrameGroups, dataset: Any) -> tuple[float, float]:
    item = groups.item("PixelValueTransformationSequence")
    said = dataset if item is None else item
    slope, intercept = said.get("RescaleSlope"), said.get("RescaleIntercept")
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
