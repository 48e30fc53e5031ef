"""The training configuration in three sections, with the key names of OpenSeizureDetector's nnTraining2."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Annotated, Any

from deeprecon.jobs.parameters import Range, to_json
from deeprecon.seizure.networks.architecture import PUBLISHED_STRIDES

SAMPLE_RATE = 25
"""Hz; recordings of another rate are resampled."""


class Framework(Enum):
    """Library that trains the network."""

    PYTORCH = "pytorch"
    TENSORFLOW = "tensorflow"


class Metric(Enum):
    """Figure on the validation users that selects the weights."""

    VAL_LOSS = "val_loss"
    F1 = "f1"
    F_BETA = "f_beta"
    YOUDEN = "youden"
    MIN_FPR = "min_fpr"


@dataclass(frozen=True)
class ModelConfig:
    """Section modelConfig: the network and its training."""

    framework: Annotated[Framework, "library that trains the network; without it and without modelType: tensorflow"]
    modelClass: Annotated[str, "name of the network: deepEpi, or its class in nnTraining2"] = "deepEpi"
    strides: Annotated[tuple[int, ...], Range(1, 4), "of the 14 convolutions"] = PUBLISHED_STRIDES
    sampleFreq: Annotated[int, Range(SAMPLE_RATE, SAMPLE_RATE, "Hz"), "of the signal; others are resampled"] = 25
    bufferSeconds: Annotated[float, Range(5, 120, "s"), "length of a window"] = 30.0
    convDropout: Annotated[float, Range(0, 0.9), "after each convolution"] = 0.0
    denseDropout: Annotated[float, Range(0, 0.9), "after the first dense layer"] = 0.025
    batchSize: Annotated[int, Range(2, 65_536), "windows in a batch"] = 64
    useBalancedBatches: Annotated[bool, "half of each batch are seizure windows"] = True
    lrStart: Annotated[float, Range(0, 1), "learning rate at first"] = 1e-5
    lrPeak: Annotated[float, Range(1e-8, 1), "learning rate after the warm-up"] = 1e-3
    lrMainEnd: Annotated[float, Range(0, 1), "learning rate after the main phase; it then falls to 0"] = 3e-5
    warmupSteps: Annotated[int, Range(0, 10_000_000), "linear from lrStart to lrPeak"] = 100
    mainSteps: Annotated[int, Range(1, 10_000_000), "cosine from lrPeak to lrMainEnd"] = 1800
    cooldownSteps: Annotated[int, Range(0, 10_000_000), "linear from lrMainEnd to 0"] = 100
    totalTrainingSteps: Annotated[int | None, Range(1, 30_000_000), "must equal the sum of the three"] = None
    evalEverySteps: Annotated[int, Range(1, 10_000_000), "between two validations"] = 200
    earlyStoppingPatience: Annotated[int, Range(0, 1_000_000), "validations without progress; 0 never stops"] = 0
    weightDecay: Annotated[float, Range(0, 1), "of AdamW"] = 0.0
    modelSelectionMetric: Annotated[Metric, "figure that selects the weights"] = Metric.VAL_LOSS
    fBeta: Annotated[float, Range(0.1, 10), "weight of the sensitivity in f_beta"] = 2.0
    saveBestMinSensitivity: Annotated[float, Range(0, 1), "required by min_fpr"] = 0.9

    @property
    def steps(self) -> int:
        """Optimizer steps of the training."""
        return self.warmupSteps + self.mainSteps + self.cooldownSteps

    @property
    def window(self) -> int:
        """Samples in a window."""
        return round(self.bufferSeconds * SAMPLE_RATE)

    def learning_rate(self, step: int) -> float:
        """Learning rate at a step: warm-up, main phase, cool-down, then 0 (Spahr 2025, doi 10.1111/epi.18406)."""
        main, cooldown = step - self.warmupSteps, step - self.warmupSteps - self.mainSteps
        if main < 0:
            return self.lrStart + (self.lrPeak - self.lrStart) * step / self.warmupSteps
        if cooldown < 0:
            share = 0.5 * (1 + math.cos(math.pi * main / self.mainSteps))
            return self.lrMainEnd + (self.lrPeak - self.lrMainEnd) * share
        return self.lrMainEnd * max(0.0, 1 - cooldown / self.cooldownSteps) if self.cooldownSteps else 0.0

    def with_steps(self, steps: int) -> ModelConfig:
        """The same schedule scaled to about `steps` steps, with the same number of validations."""
        validations = max(1, min(self.steps // self.evalEverySteps, steps))
        every = max(1, round(steps / validations))
        total = every * validations
        warmup = min(round(total * self.warmupSteps / self.steps), total - 1)
        cooldown = min(round(total * self.cooldownSteps / self.steps), total - 1 - warmup)
        return replace(
            self,
            warmupSteps=warmup,
            mainSteps=total - warmup - cooldown,
            cooldownSteps=cooldown,
            totalTrainingSteps=None,
            evalEverySteps=every,
        )


@dataclass(frozen=True)
class DataConfig:
    """Section dataProcessing: split of the users, windows and augmentation."""

    testProp: Annotated[float, Range(0.0, 0.9), "share of the users kept for the test; 0 for none"] = 0.25
    validationProp: Annotated[float, Range(0.05, 0.5), "share of the other users that selects the weights"] = 0.25
    borderSeconds: Annotated[float, Range(0, 600, "s"), "around a seizure, from which no window is taken"] = 30.0
    wholeEvents: Annotated[bool, "a seizure event without seizureTimes counts as seizure over its full length"] = False
    noiseAugmentation: Annotated[bool, "add noise to windows of both classes in training"] = True
    noiseAugmentationValue: Annotated[float, Range(0, 1000, "mg"), "standard deviation of the noise on each axis"] = (
        20.0
    )
    phaseAugmentation: Annotated[bool, "windows start at more positions in training than in detection"] = True
    phaseAugmentationStep: Annotated[int, Range(1, 750, "samples"), "between the starts of training windows"] = 25
    userAugmentation: Annotated[bool, "draw users, not windows, equally often"] = True


@dataclass(frozen=True)
class EventFilters:
    """Section eventFilters: which events are used; an empty list means all."""

    includeUserIds: Annotated[tuple[str, ...], "users to use"] = ()
    excludeUserIds: Annotated[tuple[str, ...], "users to leave out"] = ()
    includeTypes: Annotated[tuple[str, ...], "types to use"] = ()
    excludeTypes: Annotated[tuple[str, ...], "types to leave out"] = ()
    includeSubTypes: Annotated[tuple[str, ...], "subtypes to use"] = ()
    excludeSubTypes: Annotated[tuple[str, ...], "subtypes to leave out"] = ()
    includeDataSources: Annotated[tuple[str, ...], "watches to use"] = ()
    excludeDataSources: Annotated[tuple[str, ...], "watches to leave out"] = ()
    require3dData: Annotated[bool, "use only events with three axes"] = False

    def allows(self, user: str, kind: str, subtype: str, source: str, has_axes: bool) -> bool:
        """Whether an event is used."""
        pairs = (
            (user, self.includeUserIds, self.excludeUserIds),
            (kind, self.includeTypes, self.excludeTypes),
            (subtype, self.includeSubTypes, self.excludeSubTypes),
            (source, self.includeDataSources, self.excludeDataSources),
        )
        return (has_axes or not self.require3dData) and all(
            (not include or value in include) and value not in exclude for value, include, exclude in pairs
        )


@dataclass(frozen=True)
class Config:
    """All three sections."""

    modelConfig: ModelConfig = field(default_factory=lambda: ModelConfig(Framework.PYTORCH))
    dataProcessing: DataConfig = field(default_factory=DataConfig)
    eventFilters: EventFilters = field(default_factory=EventFilters)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, all keys included."""
        return {name: to_json(getattr(self, name)) for name in SECTIONS}


SECTIONS: dict[str, type] = {
    "modelConfig": ModelConfig,
    "dataProcessing": DataConfig,
    "eventFilters": EventFilters,
}
