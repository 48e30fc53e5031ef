"""The result of both methods for one recording: seizure probability of each network, and OpenSeizureDetector.

Does not import torch, since the Slicer side uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.fit.quantiles import harrell_davis

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Detection:
    """Result of both methods for the windows of a recording.

    Attributes:
        times: (W,) s from the first sample to each window's end.
        models: (M, W) probability of each network, NaN in gaps.
        osd: (W,) state of OpenSeizureDetector at that time, NaN in gaps.
        roi_power, ratio: (W,) OpenSeizureDetector's power between 3 and 8 Hz and its ratio, NaN in gaps.
        movement: (W,) standard deviation of the magnitude in the last 5 s, g.
    """

    times: Floats
    models: Floats
    osd: Floats
    roi_power: Floats
    ratio: Floats
    movement: Floats

    @property
    def window(self) -> float:
        """Length of a window in s: the first one starts with the recording."""
        return float(self.times[0])

    def probability(self, quantile: float) -> Floats:
        """(W,) quantile over the networks."""
        return harrell_davis(self.models, quantile)
