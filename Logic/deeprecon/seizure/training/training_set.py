"""Training batches and validation windows of one network, and the figure that selects its weights. numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import Config, Metric, ModelConfig
from deeprecon.seizure.observe.windows import LabeledWindows, labeled_windows
from deeprecon.seizure.read.recording import Recording, select_users
from deeprecon.seizure.training.batches import BatchSampler

MAX_VALIDATION_WINDOWS = 512
"""Of each class, evenly spread over all."""

DETECTION_STRIDE = 125
"""Samples between windows in validation, and in training without phase augmentation: 5 s."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training and validation data of one network.

    Attributes:
        sampler: draws the training batches.
        validation: (V, N) windows of the validation users in g.
        validation_label: (V,) 0 or 1.
    """

    sampler: BatchSampler
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
    ) -> TrainingSet:
        """Cut the recordings of the users of both parts into windows.

        Raises:
            InputError: there are no windows of one of the classes.
        """
        model, data = config.modelConfig, config.dataProcessing
        stride = data.phaseAugmentationStep if data.phaseAugmentation else DETECTION_STRIDE
        sampler = BatchSampler(
            labeled_windows(select_users(recordings, training), model.window, stride, data.borderSeconds),
            model.batchSize,
            model.useBalancedBatches,
            data.userAugmentation,
            data.noiseAugmentationValue / 1000 if data.noiseAugmentation else 0.0,
            seed,
        )
        held_out = select_users(recordings, validation)
        windows = labeled_windows(held_out, model.window, DETECTION_STRIDE, data.borderSeconds)
        numbers = np.concatenate([_spread(windows, label) for label in (0, 1)])
        if len(np.unique(windows.label[numbers])) < 2:
            raise InputError(
                "The validation users have no windows of one of the classes.",
                "Give more recordings, or a larger validationProp.",
            )
        return cls(sampler, windows.load(numbers), windows.label[numbers])


def selection_figure(probability: npt.NDArray[np.floating], label: npt.NDArray[np.int64], model: ModelConfig) -> float:
    """The figure on the validation windows that selects the weights: lower is better, both classes weighted equally.

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


def _spread(windows: LabeledWindows, label: int) -> npt.NDArray[np.int64]:
    """Numbers of at most MAX_VALIDATION_WINDOWS windows of a class."""
    numbers = np.flatnonzero(windows.label == label)
    return numbers[:: max(1, math.ceil(len(numbers) / MAX_VALIDATION_WINDOWS))]
