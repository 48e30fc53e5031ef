"""A continuous recording of a wrist's acceleration at 25 Hz."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Recording:
    """A wrist's acceleration over time.

    Attributes:
        name: of the event or file.
        user: who wore the watch; empty where the file does not state it.
        magnitude: (N,) float32 magnitude of the acceleration in g, 25 samples a second; 0 where it is not valid.
        valid: (N,) False in gaps, and where the watch measured nothing of a wearer.
        start: time of the first sample, None where it is unknown.
        seizures: (start, end) of each seizure in s from the first sample.
        uncertain: True where the recording contains a seizure at an unknown time.
        notes: what was done to the data, for people to read.
        unmonitored: s that are not valid, by cause.
        doubts: what is contradictory or assumed in the file.
    """

    name: str
    user: str
    magnitude: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    start: datetime | None = None
    seizures: tuple[tuple[float, float], ...] = ()
    uncertain: bool = False
    notes: tuple[str, ...] = ()
    unmonitored: Mapping[str, float] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration, with the time that is not monitored."""
        return len(self.magnitude) / SAMPLE_RATE

    @property
    def monitored_seconds(self) -> float:
        """Duration of the valid samples."""
        return float(self.valid.sum()) / SAMPLE_RATE

    def summary(self) -> dict[str, Any]:
        """A row of the table of recordings."""
        return {
            "recording": self.name,
            "user": self.user,
            "not_monitored_share": unmonitored_share([self]),
            "not_monitored": describe_unmonitored([self]),
            "minutes": self.seconds / 60,
            "seizures": len(self.seizures),
            "notes": "; ".join(self.notes),
        }


def unmonitored_share(recordings: Iterable[Recording]) -> float:
    """Share of the time that is not monitored, 0 to 1."""
    recordings = list(recordings)
    seconds = sum(one.seconds for one in recordings)
    return 1 - sum(one.monitored_seconds for one in recordings) / seconds if seconds else 0.0


def describe_unmonitored(recordings: Iterable[Recording]) -> str:
    """Share and causes of the time that is not monitored, such as "12.5 % of 8.00 h (gap 20.0 min, zeros 40.0 min)"."""
    recordings = list(recordings)
    share = unmonitored_share(recordings)
    if not share:
        return ""
    total: dict[str, float] = {}
    for one in recordings:
        for cause, value in one.unmonitored.items():
            total[cause] = total.get(cause, 0.0) + value
    causes = ", ".join(f"{cause} {value / 60:.1f} min" for cause, value in sorted(total.items(), key=lambda x: -x[1]))
    hours = sum(one.seconds for one in recordings) / 3600
    return f"{100 * share:.1f} % of {hours:.2f} h" + (f" ({causes})" if causes else "")


def unmonitored_doubts(where: str, recordings: Iterable[Recording]) -> tuple[Doubt, ...]:
    """States the time that is not monitored, where there is any."""
    if not (text := describe_unmonitored(recordings)):
        return ()
    way_out = "In this time there is neither a probability nor an alarm."
    return (Doubt("not-monitored", where, f"not monitored: {text}.", way_out, assumed=True),)


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
    return replace(recording, user=user or recording.user, seizures=tuple(ordered), uncertain=False)


def select_users(recordings: Iterable[Recording], users: Iterable[str]) -> list[Recording]:
    """The recordings of these users."""
    wanted = set(users)
    return [recording for recording in recordings if recording.user in wanted]


def treat_as_seizures(recordings: Iterable[Recording]) -> list[Recording]:
    """Turn recordings with a seizure at an unknown time into seizures over their full length, as nnTraining2 does."""
    return [
        replace(one, uncertain=False, seizures=((0.0, one.seconds),)) if one.uncertain else one for one in recordings
    ]
