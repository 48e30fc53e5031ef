"""The figure on the validation windows that selects the weights, the same for every framework."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.configuration import Metric, ModelConfig


def selection_figure(probability: npt.NDArray[np.floating], label: npt.NDArray[np.int64], model: ModelConfig) -> float:
    """Lower is better; both classes have the same weight.

    Args:
        probability: (W,) of the validation windows.
        label: (W,) 0 or 1, both present.
        model: the metric and its settings.
    """
    positive = label == 1
    if model.modelSelectionMetric is Metric.VAL_LOSS:
        clipped = np.clip(np.where(positive, probability, 1 - probability), 1e-7, 1)
        return float(-0.5 * (np.log(clipped[positive]).mean() + np.log(clipped[~positive]).mean()))
    predicted = probability > 0.5
    sensitivity, false_positive_rate = float(predicted[positive].mean()), float(predicted[~positive].mean())
    if model.modelSelectionMetric is Metric.YOUDEN:
        return 1 - (sensitivity - false_positive_rate)
    if model.modelSelectionMetric is Metric.MIN_FPR:
        missing = model.saveBestMinSensitivity - sensitivity
        return false_positive_rate if missing <= 0 else 1 + missing
    weight = 1.0 if model.modelSelectionMetric is Metric.F1 else model.fBeta**2
    hits = (1 + weight) * sensitivity
    return 1 - hits / (hits + weight * (1 - sensitivity) + false_positive_rate)
