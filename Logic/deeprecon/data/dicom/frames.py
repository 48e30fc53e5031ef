"""Frames of enhanced multi-frame DICOM files and their descriptions (PS3.3, C.7.6.16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, first_item
from deeprecon.data.dicom.pixels import Rescale, decode, frame_count
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


def frame_groups(file: DicomFile) -> list[FrameGroups]:
    """Functional groups of each frame of an enhanced file.

    Raises:
        InputError: the file does not describe each of its frames.
    """
    frames = file.dataset.get("PerFrameFunctionalGroupsSequence")
    if not frames or len(frames) != frame_count(file):
        raise InputError(f"{file.path} does not describe each of its frames.", "Export the series again.")
    shared = first_item(file.dataset, "SharedFunctionalGroupsSequence")
    return [FrameGroups(own, {} if shared is None else shared) for own in frames]


def read_frames(file: DicomFile) -> npt.NDArray[np.generic]:
    """Pixels (frame, j, i) of an enhanced file, each frame rescaled by its own slope and intercept, else the file's.

    Raises:
        InputError: the file is damaged, or its compression is not supported.
    """
    stored = decode(file)
    items = [groups.item("PixelValueTransformationSequence") for groups in frame_groups(file)]
    scales = [Rescale.of_dataset(file.dataset if item is None else item) for item in items]
    if all(scale.is_identity for scale in scales):
        return stored
    slopes, intercepts = np.array([(scale.slope, scale.intercept) for scale in scales], np.float32).T[..., None, None]
    rescaled: npt.NDArray[np.float32] = stored.astype(np.float32) * slopes + intercepts
    return rescaled
