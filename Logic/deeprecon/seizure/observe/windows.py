"""Windows of a recording: their starts and ends, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.read.recording import Recording

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

UNLABELED = -1
"""Label of a window that is neither completely inside of a seizure nor far enough from all."""


def window_starts(valid: npt.NDArray[np.bool_], length: int, stride: int) -> Indices:
    """(W,) first samples, multiples of the stride, of windows without a gap."""
    if len(valid) < length:
        return np.zeros(0, np.int64)
    gaps_before = np.concatenate([[0], np.cumsum(~valid)])
    starts = np.arange(0, len(valid) - length + 1, stride)
    usable: Indices = starts[gaps_before[starts + length] == gaps_before[starts]]
    return usable


def window_ends(samples: int, window: int, stride: int) -> Indices:
    """(W,) first samples after each window of a recording, gaps or not."""
    return np.arange(window, samples + 1, stride)


def label_windows(recording: Recording, starts: Indices, length: int, border: float) -> npt.NDArray[np.int64]:
    """(W,) 1 for windows inside of a seizure, 0 for those at least `border` s away from all, else UNLABELED.

    All windows of a recording with a seizure at an unknown time are UNLABELED.
    """
    begin, end = starts / SAMPLE_RATE, (starts + length) / SAMPLE_RATE
    label = np.full(len(starts), UNLABELED if recording.uncertain else 0, np.int64)
    for start, stop in recording.seizures:
        label[(end > start - border) & (begin < stop + border)] = UNLABELED
    for start, stop in recording.seizures:
        label[(begin >= start) & (end <= stop)] = 1
    return label


@dataclass(frozen=True, eq=False)
class LabeledWindows:
    """Labeled windows of many recordings.

    Attributes:
        signals: magnitude of each recording in g.
        recording, start, label, user: (W,) index of the recording, first sample, 0 or 1, and index of the user.
        length: samples in a window.
    """

    signals: Sequence[Floats]
    recording: Indices
    start: Indices
    label: Indices
    user: Indices
    length: int

    def __len__(self) -> int:
        return len(self.start)

    def load(self, numbers: Indices) -> Floats:
        """(B, length) float32 in g."""
        made = np.empty((len(numbers), self.length), np.float32)
        for row, number in enumerate(numbers.tolist()):
            first = self.start[number]
            made[row] = self.signals[self.recording[number]][first : first + self.length]
        return made


def labeled_windows(recordings: Sequence[Recording], length: int, stride: int, border: float) -> LabeledWindows:
    """All windows of both classes.

    Args:
        recordings: of any users.
        length, stride: samples.
        border: s around a seizure, from which no window is taken.
    """
    users = {user: number for number, user in enumerate(sorted({recording.user for recording in recordings}))}
    parts = []
    for number, recording in enumerate(recordings):
        starts = window_starts(recording.valid, length, stride)
        label = label_windows(recording, starts, length, border)
        starts, label = starts[label != UNLABELED], label[label != UNLABELED]
        parts.append((np.full(len(starts), number), starts, label, np.full(len(starts), users[recording.user])))
    index, start, label, user = (
        np.concatenate(column).astype(np.int64) if column else np.zeros(0, np.int64)
        for column in zip(*parts, strict=True)
    )
    return LabeledWindows([recording.magnitude for recording in recordings], index, start, label, user, length)
