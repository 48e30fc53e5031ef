"""A continuous recording of a wrist's acceleration at 25 Hz."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Recording:
    """A wrist's acceleration over time.

    Attributes:
        name: of the event or file.
        user: who wore the watch.
        magnitude: (N,) float32 magnitude of the acceleration in g, 25 samples a second; 0 in gaps.
        valid: (N,) False in gaps.
        start: time of the first sample, None where it is unknown.
        seizures: (start, end) of each seizure in s from the first sample.
        uncertain: True where the recording contains a seizure at an unknown time.
        notes: what was done to the data, for people to read.
    """

    name: str
    user: str
    magnitude: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    start: datetime | None = None
    seizures: tuple[tuple[float, float], ...] = ()
    uncertain: bool = False
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration, gaps included."""
        return len(self.magnitude) / SAMPLE_RATE

    def summary(self) -> dict[str, Any]:
        """A row of the table of recordings."""
        return {
            "recording": self.name,
            "user": self.user,
            "minutes": self.seconds / 60,
            "gap_minutes": float((~self.valid).sum()) / (60 * SAMPLE_RATE),
            "seizures": len(self.seizures),
            "notes": "; ".join(self.notes),
        }


def add_seizures(recording: Recording, user: str, seizures: list[tuple[float, float]]) -> Recording:
    """The recording with its user and its seizures (s from the first sample).

    Raises:
        InputError: a seizure lies outside of the recording, is empty, or two overlap.
    """
    ordered = sorted(seizures)
    for start, end in ordered:
        if not 0 <= start < end <= recording.seconds:
            raise InputError(
                f"The recording {recording.name} lasts {recording.seconds:.1f} s; it has no seizure from "
                f"{start:g} to {end:g} s."
            )
    for (_, end), (start, _) in itertools.pairwise(ordered):
        if start < end:
            raise InputError(f"The recording {recording.name}: the seizures at {start:g} s and before overlap.")
    return replace(recording, user=user, seizures=tuple(ordered), uncertain=False)


def select_users(recordings: Iterable[Recording], users: Iterable[str]) -> list[Recording]:
    """The recordings of these users."""
    wanted = set(users)
    return [recording for recording in recordings if recording.user in wanted]


def treat_as_seizures(recordings: Iterable[Recording]) -> list[Recording]:
    """Turn recordings with a seizure at an unknown time into seizures over their full length, as nnTraining2 does."""
    return [
        replace(one, uncertain=False, seizures=((0.0, one.seconds),)) if one.uncertain else one for one in recordings
    ]
