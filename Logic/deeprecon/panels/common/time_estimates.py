"""How long a run takes on this computer, learned from the runs before."""

from __future__ import annotations

import qt
import slicer

DEFAULT_SECONDS = 15.0
"""What a run takes beside training, before one on this computer told better."""


class TrainingTimeEstimate:
    """Remembers, in the application's settings, what the last run of each kind took beside training.

    Args:
        module: name of the module.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def sentence(self, method: str, device: str, training: float | None) -> str:
        """How long a run will take, in words.

        Args:
            method: how it computes.
            device: where it computes.
            training: seconds that the settings give to training; None where they give a number of steps.
        """
        if training is None:
            return "The number of training steps is set; the time left is shown once they run."
        rest = float(slicer.util.settingsValue(self._key(method, device), DEFAULT_SECONDS))
        most = "at most " if training else ""  # a method that is done sooner does not use up its time
        return f"A run takes {most}about {durationText(training + rest)} on this computer."

    def learn(self, method: str, device: str, training: float | None, seconds: float) -> None:
        """A run of `seconds` is over; the other arguments are those of `sentence`."""
        if training is not None:
            qt.QSettings().setValue(self._key(method, device), max(1.0, seconds - training))

    def _key(self, method: str, device: str) -> str:
        return f"DeepRecon/{self._module}/Seconds-{method}-{device}"


class ThroughputEstimate:
    """Remembers, in the application's settings, how many values, such as voxels times volumes, a run does in a second.

    Args:
        module: name of the module.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def sentence(self, method: str, device: str, values: int) -> str:
        """How long a run will take, in words; before the first run of a method nothing is known."""
        rate = float(slicer.util.settingsValue(self._key(method, device), 0.0))
        if not values:
            return ""
        if rate <= 0:
            return "The time left is shown as soon as the run tells it."
        return f"A run takes about {durationText(values / rate)} on this computer."

    def learn(self, method: str, device: str, values: int, seconds: float) -> None:
        """A run of `seconds` is over."""
        if values and seconds > 0:
            qt.QSettings().setValue(self._key(method, device), values / seconds)

    def _key(self, method: str, device: str) -> str:
        return f"DeepRecon/{self._module}/Rate-{method}-{device}"


def durationText(seconds: float) -> str:
    """A duration for people: 8 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
