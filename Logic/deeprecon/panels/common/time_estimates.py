"""Estimates of the duration of a run, from earlier runs on this computer."""

from __future__ import annotations

import qt
import slicer

DEFAULT_SECONDS = 15.0
"""Duration of a run without its training, before the first one on this computer."""


class TrainingTimeEstimate:
    """Stores the duration of the last run of each kind, without its training, in the application's settings.

    Args:
        module: name of the module.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def sentence(self, method: str, device: str, training: float | None) -> str:
        """Sentence about the duration of a run.

        Args:
            method: name of the method.
            device: name of the device.
            training: training time in seconds; None if the settings give a number of steps.
        """
        if training is None:
            return "The number of training steps is set; the time left is shown once they run."
        overhead = float(slicer.util.settingsValue(self._key(method, device), DEFAULT_SECONDS))
        limit = "at most " if training else ""  # training may end before its time is used up
        return f"A run takes {limit}about {durationText(training + overhead)} on this computer."

    def learn(self, method: str, device: str, training: float | None, seconds: float) -> None:
        """Learn from a run of `seconds`; other arguments as for `sentence`."""
        if training is not None:
            qt.QSettings().setValue(self._key(method, device), max(1.0, seconds - training))

    def _key(self, method: str, device: str) -> str:
        return f"DeepRecon/{self._module}/Seconds-{method}-{device}"


class ThroughputEstimate:
    """Stores the throughput of a run, such as voxels times volumes per second, in the application's settings.

    Args:
        module: name of the module.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def sentence(self, method: str, device: str, values: int) -> str:
        """Sentence about the duration of a run; unknown before the first run of a method."""
        rate = float(slicer.util.settingsValue(self._key(method, device), 0.0))
        if not values:
            return ""
        if rate <= 0:
            return "The time left is shown during the run."
        return f"A run takes about {durationText(values / rate)} on this computer."

    def learn(self, method: str, device: str, values: int, seconds: float) -> None:
        """Learn from a run of `seconds`; other arguments as for `sentence`."""
        if values and seconds > 0:
            qt.QSettings().setValue(self._key(method, device), values / seconds)

    def _key(self, method: str, device: str) -> str:
        return f"DeepRecon/{self._module}/Rate-{method}-{device}"


def durationText(seconds: float) -> str:
    """A duration as text: 8 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
