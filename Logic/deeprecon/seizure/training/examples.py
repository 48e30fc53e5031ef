"""What one network is trained on and selected by, the same for every framework: numpy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.config import Config, Metric, ModelConfig
from deeprecon.seizure.observe.windows import DETECTION_STRIDE, Sampler, Windows, make_windows, training_stride
from deeprecon.seizure.read.dataset import of_users
from deeprecon.seizure.read.recordings import Recording

VALIDATION_WINDOWS = 512
"""At most of each class; evenly spread over those that there are."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What one network is trained on: batches to draw, and the windows of its validation users."""

    sampler: Sampler
    validation: npt.NDArray[np.float32]
    validation_label: npt.NDArray[np.int64]

    @classmethod
    def make(
        cls,
        recordings: Sequence[Recording],
        training: Sequence[str],
        validation: Sequence[str],
        config: Config,
        seed: int,
    ) -> TrainingData:
        """Windows of the users; see `train_ensemble`."""
        model, data = config.modelConfig, config.dataProcessing
        sampler = Sampler(
            make_windows(of_users(recordings, training), model, data, training_stride(data)),
            model.batchSize,
            model.useBalancedBatches,
            data.userAugmentation,
            data.noiseAugmentationValue / 1000 if data.noiseAugmentation else 0.0,
            seed,
        )
        held_out = make_windows(of_users(recordings, validation), model, data, DETECTION_STRIDE)
        numbers = np.concatenate([_spread(held_out, label) for label in (0, 1)])
        if len(np.unique(held_out.label[numbers])) < 2:
            raise InputError(
                "The validation users have no windows of one of the classes.",
                "Give more recordings, or a larger validationProp.",
            )
        return cls(sampler, held_out.load(numbers), held_out.label[numbers])


def selection(probability: npt.NDArray[np.floating], label: npt.NDArray[np.int64], model: ModelConfig) -> float:
    """The figure by which weights are kept, lower is better; both classes weigh the same.

    Args:
        probability: (W,) of the validation windows.
        label: (W,) 0 or 1, both there.
        model: the metric and what it needs.
    """
    positive = label == 1
    if model.modelSelectionMetric is Metric.VAL_LOSS:
        clipped = np.clip(np.where(positive, probability, 1 - probability), 1e-7, 1)
        return float(-0.5 * (np.log(clipped[positive]).mean() + np.log(clipped[~positive]).mean()))
    said = probability > 0.5
    sensitivity, false_rate = float(said[positive].mean()), float(said[~positive].mean())
    if model.modelSelectionMetric is Metric.YOUDEN:
        return 1 - (sensitivity - false_rate)
    if model.modelSelectionMetric is Metric.MIN_FPR:
        short = model.saveBestMinSensitivity - sensitivity
        return false_rate if short <= 0 else 1 + short
    squared = 1.0 if model.modelSelectionMetric is Metric.F1 else model.fBeta**2
    return 1 - (1 + squared) * sensitivity / ((1 + squared) * sensitivity + squared * (1 - sensitivity) + false_rate)


def _spread(windows: Windows, label: int) -> npt.NDArray[np.int64]:
    numbers = np.flatnonzero(windows.label == label)
    return numbers[:: max(1, math.ceil(len(numbers) / VALIDATION_WINDOWS))]
